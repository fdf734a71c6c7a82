/** One value as its dialect writes it down. Opaque to the core. */
export type EncodedValue = string | object

/** Marks a key whose value is to be removed: a deletion is a change like any other, and must win or lose like one. */
export const DELETED: unique symbol = Symbol('deleted')

/** What one request wants changed: operations by key, not a copy of the state, so that other requests' keys survive. */
export class Changes {
  readonly entries: Map<string, EncodedValue | typeof DELETED> = new Map()
  /** After `clear`: the keys that it spares because they were stored after it. Undefined: nothing was cleared. */
  spared: Set<string> | undefined
  /** Seconds; 0 for a browser session. Undefined: unchanged. */
  timeout: number | undefined

  get isEmpty(): boolean {
    return this.entries.size === 0 && this.spared === undefined && this.timeout === undefined
  }

  /** Whether a value is set: a visitor without a session gets one only then. */
  get setsValues(): boolean {
    for (const value of this.entries.values()) if (value !== DELETED) return true
    return false
  }

  /** Whether what is stored under the key no longer counts. */
  covers(key: string): boolean {
    return this.entries.has(key) || (this.spared !== undefined && !this.spared.has(key))
  }

  /** The new value of a key that is covered; undefined if it is removed. */
  encoded(key: string): EncodedValue | undefined {
    const value = this.entries.get(key)
    return value === DELETED ? undefined : value
  }

  clear(): void {
    this.entries.clear()
    this.spared = new Set()
  }

  /** Forgets everything. */
  reset(): void {
    this.entries.clear()
    this.spared = undefined
    this.timeout = undefined
  }

  copy(): Changes {
    const copy = new Changes()
    for (const [key, value] of this.entries) copy.entries.set(key, value)
    copy.spared = this.spared
    copy.timeout = this.timeout
    return copy
  }

  /** Drops what `stored` has brought to the backend. What was changed again meanwhile stays. */
  settle(stored: Changes): void {
    for (const [key, value] of stored.entries) if (this.entries.get(key) === value) this.entries.delete(key)
    if (this.spared === stored.spared) this.spared = undefined
    if (this.timeout === stored.timeout) this.timeout = undefined
  }
}

/** A record's values. Implemented by each dialect, so that only what a request asks for is decoded. */
export interface Values {
  has(key: string): boolean
  get(key: string): EncodedValue | undefined
  keys(): Iterable<string>
  /** The same values with the changes applied: cleared first, then key by key. */
  with(changes: Changes): Values
}

/** What is known of a session besides its values. Times are epoch milliseconds. */
export interface Header {
  /** Random, new with every write: after a lost reply a writer recognises its own write by it. */
  stamp: string
  created: number
  /** When the session ends however busy it is; 0: never. */
  absolute: number
  /** Seconds of idleness that this session was given (0: a browser session); undefined: as configured. */
  timeout: number | undefined
  /** Names the session in logs and lists. Kept over `regenerate`; worthless to an attacker. */
  publicId: string
}

/** A session at rest. */
export interface StoredRecord {
  readonly header: Readonly<Header>
  readonly values: Values
}

/**
 * What stands in place of a session that was logged out or rotated away. It keeps a request that is still under way from
 * bringing the session back, and tells it what happened.
 */
export interface Tombstone {
  readonly stamp: string
  /** The store key of the session that this one became, if it was rotated. */
  readonly successor: string | undefined
}

/** What the bytes under a key turn out to be. */
export type AtRest =
  | { readonly kind: 'session'; readonly record: StoredRecord }
  | { readonly kind: 'tombstone'; readonly tombstone: Tombstone }
  /** Whole, but another key's: the backend or its client mixed up two replies. */
  | { readonly kind: 'foreign' }
  /** Truncated or not ours. */
  | { readonly kind: 'corrupt'; readonly reason: string }

/** The record after one request's changes. Everything the request did not change is the stored record's. */
export function applyChanges(record: StoredRecord, changes: Changes): StoredRecord {
  const { header, values } = record
  return {
    header: changes.timeout === undefined ? header : { ...header, timeout: changes.timeout },
    values: values.with(changes),
  }
}
