import type { Backend, Entry, Expiry, Sweepable } from '../backend.js'
import { ConfigError, describeValue, isWholeNumber, SessionError, unknownOptions } from '../errors.js'

/** How much `memory()` holds. */
export interface MemoryOptions {
  /** How many sessions to hold. Default 100,000; beyond it, creating one throws `ERR_BACKEND_FULL`. */
  maxEntries?: number
}

/**
 * Sessions in this process's memory: for tests, development, and servers of one process that may forget on a restart.
 *
 * Makes room by dropping what has expired, never a live session: logging a visitor out to let another in would be worse
 * than refusing, and an attacker could do it to everybody.
 *
 * @throws `ERR_CONFIG` for wrong options.
 */
export function memory(options: MemoryOptions = {}): Backend {
  const { maxEntries = 100_000 } = options
  const problems = unknownOptions(options, ['maxEntries'])
  if (!isWholeNumber(maxEntries, 1, Number.MAX_SAFE_INTEGER)) {
    problems.push(`maxEntries must be a whole number from 1, not ${describeValue(maxEntries)}`)
  }
  if (problems.length > 0) throw new ConfigError('memory', problems)
  return new MemoryBackend(maxEntries)
}

interface Kept {
  value: Uint8Array
  version: number
  deadline: number
}

class MemoryBackend implements Backend, Sweepable {
  readonly isLocal = true
  readonly #entries = new Map<string, Kept>()
  readonly #maxEntries: number
  #lastVersion = 0
  /** No entry expires before: until then a full memory need not be searched for expired ones. */
  #nothingExpiresBefore = Infinity

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  async read(key: string, now: number): Promise<Entry | undefined> {
    const kept = this.#live(key, now)
    return kept && { ...kept, value: new Uint8Array(kept.value) }
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    if (this.#live(key, now)) return 'exists'
    if (this.#entries.size >= this.#maxEntries) this.#dropExpired(now, Infinity)
    if (this.#entries.size >= this.#maxEntries) {
      throw new SessionError(
        'ERR_BACKEND_FULL',
        `The memory backend holds ${this.#maxEntries} live sessions: raise maxEntries, or use a backend that is made for more`,
      )
    }
    return this.#keep(key, value, deadline)
  }

  async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const kept = this.#live(key, now)
    if (!kept) return 'gone'
    return kept.version === entry.version ? this.#keep(key, value, deadline) : 'conflict'
  }

  async touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    const kept = this.#live(key, now)
    if (!kept) return 'gone'
    if (kept.version !== entry.version) return 'conflict'
    this.#expireAt(kept, deadline)
    return 'touched'
  }

  async delete(key: string): Promise<void> {
    this.#entries.delete(key)
  }

  async sweep({ now }: Expiry, limit: number): Promise<{ deleted: number; done: boolean }> {
    const size = this.#entries.size
    this.#dropExpired(now, limit)
    return { deleted: size - this.#entries.size, done: now < this.#nothingExpiresBefore }
  }

  async countExpired({ now }: Expiry): Promise<number> {
    return [...this.#entries.values()].filter(({ deadline }) => deadline <= now).length
  }

  #keep(key: string, value: Uint8Array, deadline: number): Entry {
    // Not `slice`: a Buffer's is a view of the same memory.
    const kept = { value: new Uint8Array(value), version: ++this.#lastVersion, deadline }
    this.#entries.set(key, kept)
    this.#expireAt(kept, deadline)
    return { value, version: kept.version, deadline }
  }

  #expireAt(kept: Kept, deadline: number): void {
    kept.deadline = deadline
    this.#nothingExpiresBefore = Math.min(this.#nothingExpiresBefore, deadline)
  }

  #live(key: string, now: number): Kept | undefined {
    const kept = this.#entries.get(key)
    if (kept && kept.deadline > now) return kept
    if (kept) this.#entries.delete(key)
    return undefined
  }

  #dropExpired(now: number, limit: number): void {
    if (now < this.#nothingExpiresBefore) return
    this.#nothingExpiresBefore = Infinity
    let left = limit
    for (const [key, kept] of this.#entries) {
      if (kept.deadline <= now && left-- > 0) this.#entries.delete(key)
      else this.#nothingExpiresBefore = Math.min(this.#nothingExpiresBefore, kept.deadline)
    }
  }
}
