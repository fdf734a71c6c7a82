import type { Backend, Entry, PlainBackend } from './backend.js'
import type { Dialect, NativeDialect } from './dialect.js'
import type { StoredRecord, Tombstone } from './record.js'

/** A session as it was last seen in the backend. */
export interface Live {
  readonly kind: 'live'
  readonly key: string
  readonly entry: Entry
  readonly record: StoredRecord
  /** Epoch milliseconds. */
  readonly deadline: number
}

/** A record on its way to the backend. */
export interface Draft {
  readonly bytes: Uint8Array
  /** As it will be read. */
  readonly record: StoredRecord
  readonly deadline: number
}

/**
 * Where a session's deadline is kept, and what is left of a session that was ended: all else is the same in every layout.
 * Each of these is one attempt, at exactly the given version.
 */
export interface Layout {
  /** Moves the deadline of a session that was only read. `rewrite` makes the same record as of now. */
  touch(live: Live, deadline: number, rewrite: () => Draft, now: number): Promise<Live | 'conflict' | 'gone'>
  end(key: string, entry: Entry, tombstone: Tombstone, now: number): Promise<'ended' | 'conflict' | 'gone'>
}

/** Undefined if the one can't be kept in the other. */
export function layoutOf(dialect: Dialect, backend: Backend | PlainBackend): Layout | undefined {
  if (dialect.layout === 'native' && backend.layout === undefined) return new NativeLayout(dialect, backend)
  if (dialect.layout === 'plain' && backend.layout === 'plain' && dialect.form === backend.form) {
    return new PlainLayout(backend)
  }
  return undefined
}

/**
 * How long a tombstone outlives its session: longer than any request that began before. A straggler that comes later
 * still finds no record, and a replace never creates one.
 */
const TOMBSTONE_MS = 300_000

/** The backend keeps the deadline, and a tombstone tells stragglers that they have come too late. */
class NativeLayout implements Layout {
  readonly #dialect: NativeDialect
  readonly #backend: Backend

  constructor(dialect: NativeDialect, backend: Backend) {
    this.#dialect = dialect
    this.#backend = backend
  }

  async touch(live: Live, deadline: number, _: () => Draft, now: number): Promise<Live | 'conflict' | 'gone'> {
    const { key, entry } = live
    const outcome = await this.#backend.touch(key, entry, deadline, now)
    return outcome === 'touched' ? { ...live, entry: { ...entry, deadline }, deadline } : outcome
  }

  async end(key: string, entry: Entry, tombstone: Tombstone, now: number): Promise<'ended' | 'conflict' | 'gone'> {
    const bytes = this.#dialect.encodeTombstone(key, tombstone)
    const outcome = await this.#backend.replace(key, entry, bytes, now + TOMBSTONE_MS, now)
    return typeof outcome === 'string' ? outcome : 'ended'
  }
}

/** The record says when it ends. What has ended is removed: the other library would take a tombstone for a session. */
class PlainLayout implements Layout {
  readonly #backend: PlainBackend

  constructor(backend: PlainBackend) {
    this.#backend = backend
  }

  async touch(live: Live, _: number, rewrite: () => Draft, now: number): Promise<Live | 'conflict' | 'gone'> {
    const { bytes, record, deadline } = rewrite()
    const outcome = await this.#backend.replace(live.key, live.entry, bytes, deadline, now)
    return typeof outcome === 'string' ? outcome : { ...live, entry: outcome, record, deadline }
  }

  /** If the reply is lost nobody can tell whose removal it was. The core then takes it for a log-out, which must win. */
  async end(key: string, entry: Entry): Promise<'ended' | 'conflict' | 'gone'> {
    const outcome = await this.#backend.delete(key, entry)
    return outcome === 'deleted' ? 'ended' : outcome
  }
}
