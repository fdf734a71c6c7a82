import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend, Entry, PlainBackend } from '../backend.js'
import { ConfigError } from '../errors.js'
import { OptionReader } from '../option-reader.js'
import { type BackendCall, forwardTo } from './forwarding-backend.js'
import { checkBackend } from './opening.js'
import { shown } from './shown.js'

/**
 * What a network and a server can do to a call. The last two only happen to reads. What a backend itself must not do is not
 * among them: above all, send a write again by itself and pass on the second reply. Nor is what a plain layout can't stand:
 * another key's entry, and a create that arrives again when the session has ended.
 */
export const faultNames = [
  'fails before it is applied',
  'fails after it was applied',
  'hangs',
  'hangs after it was applied',
  'hangs and is applied late',
  'arrives twice',
  'arrives twice, the second time late',
  'takes long',
  "is answered with another key's entry",
  'is answered with half of the bytes',
] as const

export type FaultName = (typeof faultNames)[number]

/** Of a list: what is in it that there is not. */
export function problemsOfFaults(faults: unknown): string[] {
  if (!Array.isArray(faults)) return []
  const unknown = faults.filter((fault) => !faultNames.some((name) => name === fault))
  return unknown.map((fault) => `faults must be of faultNames, and ${shown(fault)} is none of them`)
}

export function problemsOfRate(name: string, rate: unknown): string[] {
  if (rate === undefined || (typeof rate === 'number' && rate >= 0 && rate <= 1)) return []
  return [`${name} must be a number from 0 to 1, not ${shown(rate)}`]
}

export interface FaultOptions {
  /** A number from 0 to 1, for each decision. A seeded one makes the faults the same in every run. */
  random: () => number
  /** Which faults there are. Default: all of them. */
  faults?: readonly FaultName[]
  /** The share of calls that go wrong. Default 0.05. */
  rate?: number
  /** Told of every fault, before it happens. */
  onFault?: (fault: FaultName, operation: BackendCall['operation']) => void
  /** What a call that hangs comes to. Default: nothing, for ever. */
  hang?: () => Promise<never>
  /** Sees to it that a delayed call runs, sooner or later. Default: after up to 20 ms. */
  later?: (run: () => Promise<unknown>) => void
}

/**
 * A backend in which calls go wrong now and then, in all ways in which networks and servers fail.
 *
 * @throws `ERR_CONFIG` for wrong options.
 */
export function faultyBackend<B extends Backend | PlainBackend>(inner: B, options: FaultOptions): B {
  checkOptions(inner, options)
  const { random, faults = faultNames, rate = 0.05, onFault = () => undefined, hang = forever } = options
  const later =
    options.later ??
    ((run) =>
      void sleep(random() * 20)
        .then(run)
        .catch(() => undefined))
  const latest = new LatestEntries()

  const draw = (operation: BackendCall['operation']): FaultName | undefined => {
    if (random() >= rate) return undefined
    const possible = faults.filter((fault) => isPossible(fault, operation, inner.layout === 'plain'))
    return possible[Math.floor(random() * possible.length)]
  }

  return forwardTo(inner, async ({ operation, key }, run) => {
    const fault = draw(operation)
    if (fault !== undefined) {
      onFault(fault, operation)
      return failing(fault, run, { hang, later, other: async () => latest.otherThan(key) })
    }
    const outcome = await run()
    if (operation === 'read' && isEntry(outcome)) latest.keep(key, outcome)
    return outcome
  })
}

function checkOptions(inner: unknown, given: FaultOptions): void {
  checkBackend('faultyBackend', inner)
  const { rate, ...others } = { ...given }
  const problems: string[] = []
  const reader = new OptionReader(others, problems)
  if (!reader.function('random', others.random)) problems.push('random is required, for example Math.random')
  reader.list('faults')
  for (const name of ['onFault', 'hang', 'later'] as const) reader.function(name, others[name])
  problems.push(...problemsOfFaults(others.faults), ...problemsOfRate('rate', rate))
  reader.refuseUnknown()
  if (problems.length > 0) throw new ConfigError('faultyBackend()', problems)
}

function isPossible(fault: FaultName, operation: BackendCall['operation'], isPlain: boolean): boolean {
  if (fault.startsWith('is answered') && operation !== 'read') return false
  if (!isPlain) return true
  // A plain record does not say whose it is, and no tombstone keeps a create that comes late from bringing back what has ended.
  if (fault === 'arrives twice, the second time late') return operation !== 'create'
  return fault !== "is answered with another key's entry"
}

/** What a fault needs of those around it. */
export interface FaultScene {
  readonly hang: () => Promise<never>
  readonly later: (run: () => Promise<unknown>) => void
  /** An entry of another key, if there is one. */
  readonly other: () => Promise<Entry | undefined>
}

/** A call that goes wrong. */
export async function failing<T>(fault: FaultName, run: () => Promise<T>, scene: FaultScene): Promise<T> {
  switch (fault) {
    case 'fails before it is applied':
      throw new Error('connection refused')
    case 'fails after it was applied':
      await run()
      throw new Error('connection reset')
    case 'hangs':
      return scene.hang()
    case 'hangs after it was applied':
      await run()
      return scene.hang()
    case 'hangs and is applied late':
      scene.later(run)
      return scene.hang()
    case 'arrives twice': {
      const outcome = await run()
      await run().catch(() => undefined)
      return outcome
    }
    case 'arrives twice, the second time late': {
      const outcome = await run()
      scene.later(run)
      return outcome
    }
    case 'takes long':
      return new Promise((resolve, reject) => scene.later(() => run().then(resolve, reject)))
    case "is answered with another key's entry": {
      const [outcome, other] = await Promise.all([run(), scene.other()])
      return isEntry(outcome) && other ? { ...outcome, ...other } : outcome
    }
    case 'is answered with half of the bytes': {
      const outcome = await run()
      if (!isEntry(outcome)) return outcome
      return { ...outcome, value: outcome.value.slice(0, Math.floor(outcome.value.length / 2)) }
    }
  }
}

/** The latest of two keys, so that there is another one's to answer with. */
class LatestEntries {
  readonly #entries = new Map<string, Entry>()

  keep(key: string, entry: Entry): void {
    this.#entries.delete(key)
    this.#entries.set(key, { ...entry, value: new Uint8Array(entry.value) })
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > 2 && oldest !== undefined) this.#entries.delete(oldest)
  }

  otherThan(key: string): Entry | undefined {
    return [...this.#entries].find(([candidate]) => candidate !== key)?.[1]
  }
}

export function forever(): Promise<never> {
  return new Promise(() => undefined)
}

function isEntry(outcome: unknown): outcome is Entry {
  return typeof outcome === 'object' && outcome !== null && 'value' in outcome
}
