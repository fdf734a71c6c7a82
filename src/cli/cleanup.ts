import { constants } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config.js'
import { countExpired, sweepBackend, sweeperOf } from '../sweep.js'
import { loadSettings } from './load-settings.js'
import { grouped, ProgressBar, styled, writeFailure } from './terminal.js'

/** Durations are seconds. */
export interface CleanupFlags {
  readonly config: string
  readonly every?: number
  readonly limit?: number
  readonly dormantFor?: number
}

/** Resolves to the exit code. Rejects with what went wrong, but for an outage between two rounds, which is only told. */
export async function cleanUp(flags: CleanupFlags): Promise<number> {
  const settings = await loadSettings(flags.config)
  const stop = abortOnSignal()
  try {
    if (flags.every === undefined) await runRound(settings, flags, stop)
    else await runRounds(settings, flags, flags.every, stop)
    return 0
  } catch (error) {
    if (!stop.aborted) throw error
    return flags.every === undefined ? 128 + constants.signals[stop.reason as NodeJS.Signals] : 0
  } finally {
    await settings.backend.close?.()
  }
}

/** What to abort by: its reason is the signal's name. A second signal ends the process at once. */
function abortOnSignal(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => controller.abort(signal))
  return controller.signal
}

async function runRounds(settings: Settings, flags: CleanupFlags, seconds: number, stop: AbortSignal): Promise<never> {
  for (;;) {
    await runRound(settings, flags, stop).catch((error: unknown) => {
      stop.throwIfAborted()
      writeFailure(error)
    })
    await sleep(seconds * 1000, undefined, { signal: stop })
  }
}

async function runRound(settings: Settings, flags: CleanupFlags, stop: AbortSignal): Promise<void> {
  const { dormantFor, limit = Number.MAX_SAFE_INTEGER } = flags
  const start = performance.now()
  let [deleted, done] = [0, false]
  let bar: ProgressBar | undefined
  try {
    if (process.stderr.isTTY) bar = new ProgressBar(Math.min(await countExpired(settings, { dormantFor }), limit))
    const swept = await sweepBackend(settings, { dormantFor, limit }, (count) => {
      deleted = count
      bar?.show(count)
      // Each batch is a transaction: stopping between two of them loses nothing.
      stop.throwIfAborted()
    })
    done = swept.done
  } finally {
    bar?.clear()
    const seconds = (performance.now() - start) / 1000
    if (process.stdout.isTTY) writeSummary(settings, deleted, done, seconds)
    else writeLine(deleted, done, seconds)
  }
}

function writeSummary(settings: Settings, deleted: number, done: boolean, seconds: number): void {
  const sessions = deleted === 1 ? 'session' : 'sessions'
  const summary = sweeperOf(settings)
    ? `${styled('bold', grouped(deleted))} expired ${sessions} removed in ${seconds.toFixed(1)} s`
    : 'This backend removes expired sessions by itself'
  process.stdout.write(`${summary}${done ? '' : ', and more are left'}.\n`)
}

function writeLine(deleted: number, done: boolean, seconds: number): void {
  const time = new Date().toISOString()
  process.stdout.write(`time=${time} deleted=${deleted} done=${done} seconds=${seconds.toFixed(3)}\n`)
}
