/** One value as its dialect writes it down. Opaque to the core. */
export type EncodedValue = string | object

/** One key's new value; undefined if it is removed, which is a change like any other and wins or loses like one. */
export interface KeyChange {
  readonly encoded: EncodedValue | undefined
}

const NO_CHANGES: ReadonlyMap<string, KeyChange> = new Map()

/** What one request wants changed: operations by key, not a copy of the state, so that other requests' keys survive. */
export class Changes {
  #byKey: Map<string, KeyChange> | undefined
  /** After `clear`: the keys that it spares because they were stored after it. Undefined: nothing was cleared. */
  spared: Set<string> | undefined
  /** Seconds; 0 for a browser session. Undefined: unchanged. */
  timeout: number | undefined

  /** In the order in which the keys were first changed. */
  get byKey(): ReadonlyMap<string, KeyChange> {
    return this.#byKey ?? NO_CHANGES
  }

  get isEmpty(): boolean {
    return this.byKey.size === 0 && this.spared === undefined && this.timeout === undefined
  }

  /** Whether a value is set: a visitor without a session gets one only then. */
  get setsValues(): boolean {
    for (const { encoded } of this.byKey.values()) if (encoded !== undefined) return true
    return false
  }

  /** Whether what is stored under the key no longer counts. */
  covers(key: string): boolean {
    return this.byKey.has(key) || (this.spared !== undefined && !this.spared.has(key))
  }

  /** The new value of a key that is covered; undefined if it is removed. */
  encoded(key: string): EncodedValue | undefined {
    return this.byKey.get(key)?.encoded
  }

  set(key: string, encoded: EncodedValue): void {
    this.#put(key, { encoded })
  }

  remove(key: string): void {
    this.#put(key, { encoded: undefined })
  }

  clear(): void {
    this.#byKey = undefined
    this.spared = new Set()
  }

  /** Forgets everything. */
  reset(): void {
    this.#byKey = undefined
    this.spared = undefined
    this.timeout = undefined
  }

  copy(): Changes {
    const copy = new Changes()
    copy.#byKey = this.#byKey && new Map(this.#byKey)
    copy.spared = this.spared
    copy.timeout = this.timeout
    return copy
  }

  /** Drops what `stored` has brought to the backend. What was changed again meanwhile stays. */
  settle(stored: Changes): void {
    for (const [key, change] of stored.byKey) this.settleKey(key, change)
    if (this.spared === stored.spared) this.spared = undefined
    if (this.timeout === stored.timeout) this.timeout = undefined
  }

  settleKey(key: string, stored: KeyChange | undefined): void {
    if (this.byKey.get(key) === stored) this.#byKey?.delete(key)
  }

  /** Most requests change nothing: their map is never made. */
  #put(key: string, change: KeyChange): void {
    this.#byKey ??= new Map()
    this.#byKey.set(key, change)
  }
}

/** A record's values. Implemented by each dialect, so that only what a request asks for is decoded. */
export interface Values {
  has(key: string): boolean
  get(key: string): EncodedValue | undefined
  keys(): Iterable<string>
  /** How many values are kept and not listed, since their keys are no text. Default none. */
  readonly unlisted?: number
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

/** When a session was used and when it ends, where its record itself says so. Epoch milliseconds. */
export interface RecordTimes {
  /** Undefined if the session has no timeout. */
  readonly expires: number | undefined
  /** Undefined if it never was. */
  readonly lastUsed: number | undefined
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
  | { readonly kind: 'session'; readonly record: StoredRecord; readonly times?: RecordTimes }
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
