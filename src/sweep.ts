import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend, Entry, Expiry, PlainBackend, Sweepable } from './backend.js'
import { callBackend } from './backend-call.js'
import { checkCleanupOptions, type CleanupOptions, type Settings } from './config.js'
import type { Dialect } from './dialect.js'

/** One batch is one transaction, which keeps other writers waiting: for milliseconds, unless sessions are huge. */
const BATCH = 100

/**
 * Removes what is over, batch by batch, as far as it was over at the start. `onBatch` hears how many were removed so far.
 * Where the backend removes it by itself there is nothing to do.
 */
export async function sweepBackend(
  settings: Settings,
  options: CleanupOptions,
  onBatch?: (deleted: number) => void,
): Promise<{ deleted: number; done: boolean }> {
  const { dormantFor, limit } = checkCleanupOptions(options)
  const sweeper = sweeperOf(settings)
  if (!sweeper) return { deleted: 0, done: true }
  const expiry = expiryNow(settings, dormantFor)
  for (let deleted = 0; ;) {
    const start = performance.now()
    const batch = await sweeper.sweep(expiry, Math.min(BATCH, limit - deleted))
    deleted += batch.deleted
    onBatch?.(deleted)
    if (batch.done || deleted >= limit) return { deleted, done: batch.done }
    // SQLite's lock goes to whoever asks first when it is free: the others get as long to ask as they had to wait.
    await sleep(performance.now() - start)
  }
}

/** How many sessions a sweep with these options would find. */
export async function countExpired(settings: Settings, options: CleanupOptions): Promise<number> {
  const { dormantFor } = checkCleanupOptions(options)
  return (await sweeperOf(settings)?.countExpired(expiryNow(settings, dormantFor))) ?? 0
}

/** Who removes what the backend keeps; undefined if it keeps nothing that is over, or can't tell what it has. */
export function sweeperOf(settings: Settings): Sweepable | undefined {
  const { backend, dialect } = settings
  if (backend.layout === 'plain') return backend.list && new PlainSweeper(settings, backend, dialect)
  if (!isSweepable(backend)) return undefined
  return {
    sweep: (expiry, limit) => callBackend(settings, () => backend.sweep(expiry, limit)),
    countExpired: (expiry) => callBackend(settings, () => backend.countExpired(expiry)),
  }
}

export function isSweepable<B extends Backend>(backend: B & Partial<Sweepable>): backend is B & Sweepable {
  return backend.sweep !== undefined && backend.countExpired !== undefined
}

/**
 * For plain layouts, whose other library may write records that its server never drops: goes through all there is and looks
 * into each. What can't be read is left as it is.
 */
class PlainSweeper implements Sweepable {
  readonly #settings: Settings
  readonly #backend: PlainBackend
  readonly #dialect: Dialect
  #found: AsyncGenerator<[key: string, entry: Entry]> | undefined

  constructor(settings: Settings, backend: PlainBackend, dialect: Dialect) {
    this.#settings = settings
    this.#backend = backend
    this.#dialect = dialect
  }

  /** Each call goes on where the last one stopped. */
  async sweep(expiry: Expiry, limit: number): Promise<{ deleted: number; done: boolean }> {
    this.#found ??= this.#expired(expiry)
    let deleted = 0
    while (deleted < limit) {
      const next = await this.#found.next()
      if (next.done === true) return { deleted, done: true }
      if ((await this.#call(() => this.#backend.delete(...next.value))) === 'deleted') deleted++
    }
    return { deleted, done: false }
  }

  async countExpired(expiry: Expiry): Promise<number> {
    const keys = new Set<string>()
    for await (const [key] of this.#expired(expiry)) keys.add(key)
    return keys.size
  }

  async *#expired(expiry: Expiry): AsyncGenerator<[key: string, entry: Entry]> {
    let cursor: string | undefined
    do {
      const page = await this.#call(async () => this.#backend.list?.(cursor, expiry))
      for (const key of page?.keys ?? []) {
        const entry = await this.#call(() => this.#backend.read(key, expiry.now))
        if (entry && this.#isOver(key, entry, expiry)) yield [key, entry]
      }
      cursor = page?.cursor
    } while (cursor !== undefined)
  }

  #isOver(key: string, { value }: Entry, { now, dormantBefore }: Expiry): boolean {
    const atRest = this.#dialect.decode(key, value)
    if (atRest.kind !== 'session' || !atRest.times) return false
    const { expires, lastUsed = Infinity } = atRest.times
    return expires === undefined ? lastUsed < dormantBefore : expires <= now
  }

  #call<T>(call: () => Promise<T>): Promise<T> {
    return callBackend(this.#settings, call)
  }
}

function expiryNow({ now }: Settings, dormantFor: number): Expiry {
  return { now: now(), dormantBefore: now() - dormantFor * 1000 }
}
