import { type EndListener, endOf, type SessionEnd } from './endings.js'
import type { Found, RecordStore } from './record-store.js'

/** A session as a request has found it, for sockets, which outlive their request. */
export class Followed {
  /** How it has ended; undefined while it has not, and for a visitor who has none. */
  readonly end: SessionEnd | undefined
  readonly #found: Found
  readonly #records: RecordStore
  readonly #now: () => number

  /** @param isNamed Whether a cookie led there. */
  constructor(found: Found, isNamed: boolean, records: RecordStore, now: () => number) {
    this.#found = found
    this.#records = records
    this.#now = now
    if (found.kind === 'gone') this.end = endOf(found.tombstone)
    else if (found.kind === 'absent' && isNamed) this.end = 'expired'
  }

  /** Milliseconds until it ends unless it is used. */
  get timeLeft(): number {
    return this.#found.kind === 'live' ? Math.max(0, this.#found.deadline - this.#now()) : Infinity
  }

  /** Tells, once, when this process ends the session. Returns how to stop listening. */
  onEnd(listener: EndListener): () => void {
    return this.#found.kind === 'live' ? this.#records.endings.follow(this.#found.key, listener) : () => undefined
  }
}
