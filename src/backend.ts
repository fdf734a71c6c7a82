/** Names one state of an entry. Opaque: only the backend that made it compares it. */
export type Version = string | number | bigint | Uint8Array

/** What a backend holds under a key. */
export interface Entry {
  /** The bytes, as they were written. */
  value: Uint8Array
  /** Left out where a write does not learn it; the entry is then read again before it is written again. */
  version?: Version
  /** Epoch milliseconds after which the entry counts as absent. Kept beside the value, not in it. */
  deadline?: number
}

/**
 * Bytes under a key, with a deadline and a version. A backend knows nothing of sessions, cookies, merging or time: `now`
 * is passed in, so that deadlines are exact and tests own the clock.
 *
 * Every operation is atomic. An entry whose deadline is at or before `now` counts as absent, whatever the server's own
 * clean-up has done about it; physical expiry is set relative (`deadline - now` and a minute of slack), so that the clocks
 * of server and client need not agree. An outage rejects: it is never "absent". A rejection may leave open whether a write
 * was applied; the caller reads again and finds out. A backend never repeats a write by itself, and never writes
 * unconditionally: an unconditional write can land late, over a newer one.
 *
 * An entry lasts until its deadline. A backend whose store may evict, that is drop live entries to make room, says so: an
 * evicted entry has expired, early, and nothing worse may come of it.
 *
 * Keys are 43 characters of `[A-Za-z0-9_-]`. Values are at most `maxBytes` long. Neither side keeps or changes a buffer of
 * the other's after the call.
 *
 * `vishnu/testing` holds these rules as tests for any runner.
 */
export interface Backend {
  /** The live entry, or undefined. */
  read(key: string, now: number): Promise<Entry | undefined>

  /** Stores a first entry; `exists` if a live one is there. An expired one is replaced. */
  create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'>

  /** Replaces exactly the given version: `conflict` if another is there, `gone` if none. Never creates. */
  replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'>

  /**
   * Moves the deadline of exactly the given version, which stays valid for a replace. `conflict` means that a newer write
   * has set its own deadline: nothing is left to do.
   */
  touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'>

  /** Removes the entry, whatever its version. Not used for sessions that end: those are replaced by a tombstone. */
  delete(key: string): Promise<void>

  /** The longest value in bytes; unlimited if left out. */
  readonly maxBytes?: number

  /** Whether only this process sees its entries. Left out: others do too. */
  readonly isLocal?: boolean

  /** Closes the connections that this backend opened itself. */
  close?(): Promise<void>

  /** What {@link PlainBackend}s have. */
  readonly layout?: undefined
}

/**
 * Bytes under a key and nothing else, for records that are shared with another library: what is stored is exactly the
 * value, under exactly the key. The record itself says when it ends, which this backend can't read: what has expired is
 * read, replaced and in the way of a create as long as it is there. `deadline - now` only tells how long to keep it.
 *
 * A version stands for the bytes. The other library writes without asking for it.
 *
 * `vishnu/testing` holds these rules as tests for any runner.
 */
export interface PlainBackend extends Pick<Backend, 'read' | 'create' | 'replace' | 'maxBytes' | 'isLocal' | 'close'> {
  readonly layout: 'plain'

  /** Set where the other library keeps records in parts: the dialect has to know them too. */
  readonly form?: 'ndb'

  /** Removes exactly the given version: `conflict` if another is there, `gone` if none. */
  delete(key: string, entry: Entry): Promise<'deleted' | 'conflict' | 'gone'>

  /**
   * Lists some of the keys, and says with which cursor to go on; undefined: those were the last. A key that is there all
   * the time is listed at least once. With `expiry` only what is over is of interest: a server that can tell may leave out the
   * rest. Left out where the server can't list: what the other library leaves for ever then stays.
   */
  list?: ((cursor: string | undefined, expiry?: Expiry) => Promise<KeyPage>) | undefined
}

/** Some of a store's keys, and the cursor to ask for more with. */
export interface KeyPage {
  readonly keys: readonly string[]
  readonly cursor: string | undefined
}

/** What counts as over. Epoch milliseconds. */
export interface Expiry {
  /** Entries whose deadline is at or before this are over. */
  now: number
  /** So are, in plain layouts, records without a deadline that were last used before this. */
  dormantBefore: number
}

/**
 * A backend whose server keeps what is over until somebody removes it. Sweeping frees space and changes nothing else: what
 * is over counts as absent, swept or not.
 *
 * `vishnu/testing` holds these rules as tests for any runner.
 */
export interface Sweepable {
  /**
   * Removes at most `limit` entries that are over, in one transaction if the server has any. The condition is judged again
   * by each removal, so that an entry that is renewed between a query and its removal stays.
   *
   * Any number of sweeps may run at once: `deleted` counts what this one has removed itself. `done`: nothing is left.
   */
  sweep(expiry: Expiry, limit: number): Promise<{ deleted: number; done: boolean }>

  /** How many entries are over. Asked once before a long clean-up, for its progress bar. */
  countExpired(expiry: Expiry): Promise<number>
}
