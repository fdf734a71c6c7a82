import { COUNTER, KEYS } from './history-plan.js'

/** A value, by what makes it unique. */
export interface Seen {
  readonly tag: string | undefined
  /** Of the counter; 0 for other keys. */
  readonly count: number
}

const NOTHING: Seen = { tag: undefined, count: 0 }

/** What a value of a history says; undefined if none of its requests can have set it. */
export function readValue(value: unknown, key: string): Seen | undefined {
  if (value === undefined) return NOTHING
  if (typeof value !== 'object' || value === null || !('by' in value) || typeof value.by !== 'string') return undefined
  const tag = value.by
  if (Object.keys(value).length !== 2) return undefined
  if (key !== COUNTER) return tag in value ? { tag, count: 0 } : undefined
  return 'n' in value && typeof value.n === 'number' ? { tag, count: value.n } : undefined
}

/** What one request should see of its session: what was stored, under what it has changed and not stored yet. */
export class RequestView {
  /** Seconds, if it was set and not stored yet. */
  timeout: number | undefined
  readonly #stored = new Map<string, Seen>()
  readonly #pending = new Map<string, string | undefined>()
  /** After a clear: the keys that were stored after it. */
  #spared: Set<string> | undefined

  get isCleared(): boolean {
    return this.#spared !== undefined
  }

  tag(key: string): string | undefined {
    return this.covers(key) ? this.#pending.get(key) : this.#stored.get(key)?.tag
  }

  /** Whether a change that is not stored yet hides what is stored. */
  covers(key: string): boolean {
    return this.#pending.has(key) || (this.#spared !== undefined && !this.#spared.has(key))
  }

  set(key: string, tag: string): void {
    this.#pending.set(key, tag)
  }

  delete(key: string): void {
    this.#pending.set(key, undefined)
  }

  clear(): void {
    this.#pending.clear()
    this.#spared = new Set()
  }

  /** What is to be stored: the new tags, or undefined for what is removed. */
  writes(): [key: string, tag: string | undefined][] {
    return KEYS.filter((key) => this.covers(key)).map((key) => [key, this.#pending.get(key)])
  }

  pendingSets(): string[] {
    return [...this.#pending].filter(([, tag]) => tag !== undefined).map(([key]) => key)
  }

  /** This is in the store now, by this request or another. */
  stored(key: string, seen: Seen): void {
    this.#stored.set(key, seen)
    this.#pending.delete(key)
    this.#spared?.add(key)
  }

  /** All changes are stored. */
  settle(): void {
    this.#pending.clear()
    this.#spared = undefined
    this.timeout = undefined
  }

  /** The session is gone; the changes are still here. */
  lose(): void {
    this.#stored.clear()
  }

  reset(): void {
    this.settle()
    this.lose()
  }

  describe(rotates: boolean): string {
    const changes = this.writes().map(([key, tag]) => (tag === undefined ? `no ${key}` : `${key} = ${tag}`))
    if (this.timeout !== undefined) changes.push(`a timeout of ${this.timeout} s`)
    if (rotates) changes.push('a new id')
    return changes.join(', ') || 'nothing'
  }
}
