import { Buffer } from 'node:buffer'
import type { Backend, Entry, PlainBackend } from './backend.js'
import { outage } from './backend-call.js'
import { Budget } from './budget.js'
import type { Settings } from './config.js'
import { endOf, Endings } from './endings.js'
import { SessionError } from './errors.js'
import type { Draft, Layout, Live } from './layout.js'
import type { Lifetime } from './lifetime.js'
import type { StoredRecord, Tombstone } from './record.js'

/** Damaged, in the backend or on the way from it. Its visitor counts as new, and nothing but a log-out writes over it. */
interface Unreadable {
  readonly kind: 'unreadable'
  readonly key: string
  readonly entry: Entry
}

/** Never stored, or expired. */
interface Absent {
  readonly kind: 'absent'
}

/** Logged out, or rotated away to its successor. */
interface Gone {
  readonly kind: 'gone'
  readonly key: string
  readonly entry: Entry
  readonly tombstone: Tombstone
}

/** What a key leads to. */
export type Found = Live | Unreadable | Absent | Gone

/** A session under an id that no cookie has carried yet. */
export interface Created {
  readonly id: string
  readonly live: Live
}

/** What a write makes of the record it finds. Runs again on the newer record after a conflict. */
export type Change = (record: StoredRecord) => StoredRecord

/** A read is tried again after a passing fault, but not until the time is up: a long outage should be told quickly. */
const READ_ATTEMPTS = 3

/**
 * A record's life against a backend: every write is conditional on the version it builds on, is repeated on top of what
 * another request wrote meanwhile, and, where the reply was lost, finds out by its stamp whether it was applied.
 */
export class RecordStore {
  /** Who is to be told when this process ends a session. */
  readonly endings: Endings = new Endings()
  readonly #settings: Settings
  readonly #backend: Backend | PlainBackend
  readonly #layout: Layout
  readonly #lifetime: Lifetime

  constructor(settings: Settings, lifetime: Lifetime) {
    this.#settings = settings
    this.#backend = settings.backend
    this.#layout = settings.layout
    this.#lifetime = lifetime
  }

  budget(): Budget {
    return new Budget(this.#settings.backendTimeout)
  }

  /** Waits before retry number `attempt` (from 0). Rejects if there is no time left for it. */
  async pause(budget: Budget, attempt: number): Promise<void> {
    await budget.pause(attempt).catch((error: unknown) => {
      throw this.#outage(error)
    })
  }

  async load(key: string, budget: Budget): Promise<Found> {
    const { dialect, now, report } = this.#settings
    const entry = await this.#read(key, budget)
    if (entry === undefined) return { kind: 'absent' }
    const atRest = dialect.decode(key, entry.value)
    switch (atRest.kind) {
      case 'session': {
        const { record, times } = atRest
        const { deadline = Infinity } = times ? { deadline: this.#lifetime.deadlineOf(record.header, times) } : entry
        const isOver = deadline <= now() || this.#lifetime.isOver(record.header)
        return isOver ? { kind: 'absent' } : { kind: 'live', key, entry, record, deadline }
      }
      case 'tombstone':
        return { kind: 'gone', key, entry, tombstone: atRest.tombstone }
      case 'corrupt':
        report('corrupt', `A stored session can't be read: ${atRest.reason}. It is left as it is.`)
        return { kind: 'unreadable', key, entry }
      case 'foreign':
        throw this.#outage(new SessionError('ERR_BACKEND', "The backend answered with another session's record"))
    }
  }

  /** Stores a new session under a new id. The id is returned only once the record is known to be there. */
  async create(initial: StoredRecord, budget: Budget): Promise<Created> {
    const { dialect, now } = this.#settings
    for (let attempt = 0; ; attempt++) {
      const id = dialect.newId()
      const key = dialect.key(id)
      const draft = this.#draft(key, initial)
      const { bytes, record, deadline } = draft
      const outcome = await this.#attempt(budget, () => this.#backend.create(key, bytes, deadline, now()))
      if (isEntry(outcome)) return { id, live: liveFrom(key, outcome, draft) }
      // The reply was lost, or a client sent the command twice. If it can't be confirmed it may still arrive later: under
      // an id that nobody holds.
      const found = await this.load(key, budget)
      if (found.kind === 'live' && stampOf(found) === record.header.stamp) return { id, live: found }
      await this.pause(budget, attempt)
    }
  }

  /** Writes a record in the place of what was found under its key. One attempt: undefined if it is not known to be there. */
  async put(key: string, found: Live | Absent, record: StoredRecord, budget: Budget): Promise<Live | undefined> {
    const { now } = this.#settings
    const draft = this.#draft(key, record)
    const { bytes, deadline } = draft
    const outcome = await this.#attempt<Entry | string>(budget, () =>
      found.kind === 'absent'
        ? this.#backend.create(key, bytes, deadline, now())
        : this.#backend.replace(key, found.entry, bytes, deadline, now()),
    )
    return isEntry(outcome) ? liveFrom(key, outcome, draft) : undefined
  }

  /** Ends exactly what was found. One attempt: false if it is not known to have been this one. */
  async end({ key, entry }: Live, successor: string, budget: Budget): Promise<boolean> {
    const tombstone = { stamp: this.#newStamp(), successor }
    const { now } = this.#settings
    return (await this.#attempt(budget, () => this.#layout.end(key, entry, tombstone, now()))) === 'ended'
  }

  /**
   * Changes a session, on top of whatever other requests have made of it. Resolves to 'gone' if it ended meanwhile.
   *
   * @param repeatable Whether applying the change twice is harmless. If not, a write whose outcome can't be found out
   *   rejects with `ERR_BACKEND` instead of being tried again.
   */
  async replace(live: Live, change: Change, repeatable: boolean, budget: Budget): Promise<Live | 'gone'> {
    const { now } = this.#settings
    const stamps = new Set<string | undefined>()
    let base = await this.#writable(live, budget)
    let lostReply: Failure | undefined
    for (let attempt = 0; ; attempt++) {
      if (base.kind === 'unreadable') throw this.#outage(new Error('a session came back damaged'))
      if (base.kind !== 'live' || this.#lifetime.isOver(base.record.header)) return 'gone'
      const { key, entry } = base
      // A new one for each attempt: if two states of a record had the same, a rotation could take the newer for the older.
      const stamp = this.#newStamp()
      stamps.add(stamp)
      const draft = this.#draft(key, change(base.record), { stamp })
      const { bytes, deadline } = draft
      const outcome = await this.#attempt(budget, () => this.#backend.replace(key, entry, bytes, deadline, now()))
      if (isEntry(outcome)) return liveFrom(key, outcome, draft)
      if (outcome === 'gone') return 'gone'
      if (outcome !== 'conflict') lostReply = outcome

      if (attempt > 0) await this.pause(budget, attempt)
      const found = await this.load(key, budget)
      if (found.kind === 'live') {
        if (stamps.has(stampOf(found))) return found
        // Someone else wrote since: perhaps on top of ours, perhaps instead of it.
        const isUnchanged = stampOf(found) === stampOf(base)
        if (lostReply && !isUnchanged && !repeatable) throw this.#outage(lostReply.failure)
        if (!isUnchanged) this.#reportConflict(found)
      }
      base = found
    }
  }

  /**
   * Moves a session to a new id. The new record exists before the old one becomes a tombstone by compare-and-set, so
   * that a crash at any step leaves the old id without what the new one was given.
   */
  async rotate(live: Live, change: Change, budget: Budget): Promise<Created | 'gone'> {
    if (this.#lifetime.isOver(live.record.header)) return 'gone'
    let created = await this.create(change(live.record), budget)
    const keepUp = async (newer: Live): Promise<void> => {
      // Another request stored something under the old id and was told so: it has to come along.
      const updated = await this.replace(created.live, () => change(newer.record), true, budget)
      if (updated === 'gone') throw new SessionError('ERR_BACKEND', 'The backend lost a session that was just stored')
      created = { id: created.id, live: updated }
    }
    const end = await this.#retire(live, created.live.key, budget, keepUp)
    if (end === 'retired') return created
    // Nobody holds the new id. Should the backend fail here, the record expires unread.
    await this.terminate(created.live, budget).catch(() => undefined)
    return 'gone'
  }

  /** Ends a session for good, and what it became if another request rotated it meanwhile. */
  async terminate(found: Found, budget: Budget): Promise<void> {
    const followed = new Set<string>()
    while (found.kind !== 'absent') {
      if (found.kind === 'gone') {
        await this.#confirm(found, budget)
        const { successor } = found.tombstone
        // We write no circles; whoever can write into the store could, to keep a server busy.
        if (successor === undefined || followed.has(successor)) return
        followed.add(successor)
        found = await this.load(successor, budget)
      } else {
        const end = await this.#retire(found, undefined, budget)
        if (end === 'retired') return
        found = end
      }
    }
  }

  /**
   * Writes another request's tombstone again: that request may have failed, with the tombstone on a master that is about to
   * be lost, and what this one acknowledges has to outlive it.
   */
  async #confirm({ key, entry, tombstone }: Gone, budget: Budget): Promise<void> {
    const outcome = await this.#attempt(budget, () => this.#layout.end(key, entry, tombstone, this.#settings.now()))
    // A conflict is a third request that does the same: who writes last has all of it confirmed, or fails.
    if (typeof outcome !== 'string') throw this.#outage(outcome.failure)
  }

  /** Moves a session's end after a use of it. */
  async touch(live: Live, budget: Budget): Promise<Live | 'conflict' | 'gone'> {
    const { now } = this.#settings
    const base = await this.#writable(live, budget)
    if (base.kind !== 'live') return 'gone'
    const deadline = this.#lifetime.deadline(base.record.header)
    const rewrite = (): Draft => this.#draft(base.key, base.record, { deadline })
    const outcome = await this.#attempt(budget, () => this.#layout.touch(base, deadline, rewrite, now()))
    if (typeof outcome === 'object' && 'failure' in outcome) throw this.#outage(outcome.failure)
    return outcome
  }

  /**
   * Ends a session, leaving a tombstone where the layout has them. If another request changed it meanwhile, `keepUp` gets
   * the newer state before the next try. Resolves to what is there instead if the session has ended already.
   */
  async #retire(
    ending: Live | Unreadable,
    successor: string | undefined,
    budget: Budget,
    keepUp?: (newer: Live) => Promise<void>,
  ): Promise<'retired' | Exclude<Found, Live | Unreadable>> {
    const { key } = ending
    const tombstone = { stamp: this.#newStamp(), successor }
    let base: Live | Unreadable = ending
    let found = await this.#writable(ending, budget)
    let damaged: Unreadable | undefined
    for (let attempt = 0; ; attempt++) {
      if (found.kind === 'unreadable' && !isSame(found, damaged)) {
        // Perhaps only the reply was cut short, of a tombstone, say, that leads to a successor. Twice the same is the record.
        damaged = found
        found = await this.load(key, budget)
        continue
      }
      if (found.kind === 'gone' && found.tombstone.stamp === tombstone.stamp) return this.#retired(key, tombstone)
      if (found.kind === 'gone' || found.kind === 'absent') return found
      if (found.kind === 'live' && stampOf(found) !== stampOf(base)) {
        this.#reportConflict(found)
        await keepUp?.(found)
      }
      const isUnknown = found.kind === 'unreadable' && (keepUp !== undefined || found.entry.version === undefined)
      if (isUnknown) throw this.#outage(new Error('a session came back damaged'))
      base = found

      const { entry } = base
      const outcome = await this.#attempt(budget, () => this.#layout.end(key, entry, tombstone, this.#settings.now()))
      if (outcome === 'ended') return this.#retired(key, tombstone)
      if (attempt > 0) await this.pause(budget, attempt)
      found = await this.load(key, budget)
    }
  }

  #retired(key: string, tombstone: Tombstone): 'retired' {
    this.endings.announce(key, endOf(tombstone))
    return 'retired'
  }

  /**
   * A backend whose writes don't tell the new version has to be asked for it before the next write. And a session whose
   * deadline has come since it was read may have ended, or been used by others.
   */
  async #writable<F extends Live | Unreadable>(found: F, budget: Budget): Promise<F | Found> {
    const isDue = found.kind === 'live' && found.deadline <= this.#settings.now()
    return isDue || found.entry.version === undefined ? this.load(found.key, budget) : found
  }

  async #read(key: string, budget: Budget): Promise<Entry | undefined> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#attempt(budget, () => this.#backend.read(key, this.#settings.now()))
      if (!isFailure(outcome)) return outcome
      if (attempt === READ_ATTEMPTS || budget.spent) throw this.#outage(outcome.failure)
      await this.pause(budget, attempt * 2)
    }
  }

  /** The call's outcome, or what made it fail: a failed write may have been applied, so failing is an outcome too. */
  #attempt<T>(budget: Budget, call: () => Promise<T>): Promise<T | Failure> {
    return budget.run(call).catch((error: unknown) => {
      // The time is up, or the backend says for sure that it did not and will not do it.
      if (error instanceof SessionError || budget.spent) throw this.#outage(error)
      return { failure: error }
    })
  }

  #outage(cause: unknown): SessionError {
    return outage(this.#settings.report, cause)
  }

  #reportConflict({ record }: Live): void {
    const { publicId } = record.header
    this.#settings.report('conflict', 'Two requests changed a session at the same time.', { publicId })
  }

  #draft(
    key: string,
    { header, values }: StoredRecord,
    { stamp = this.#newStamp(), deadline = this.#lifetime.deadline(header) } = {},
  ): Draft {
    const times = this.#lifetime.timesUntil(header, deadline)
    const { bytes, record } = this.#settings.dialect.encode(key, { header: { ...header, stamp }, values }, times)
    const { maxBytes = Infinity } = this.#backend
    if (bytes.length <= maxBytes) return { bytes, record, deadline }
    throw new SessionError(
      'ERR_TOO_LARGE',
      `The session would have ${bytes.length} bytes, and this backend holds ${maxBytes}: keep large data elsewhere and its id in the session`,
    )
  }

  #newStamp(): string {
    return Buffer.from(this.#settings.random(12)).toString('base64url')
  }
}

function liveFrom(key: string, entry: Entry, { record, deadline }: Draft): Live {
  return { kind: 'live', key, entry, record, deadline }
}

function isSame(one: Unreadable, other: Unreadable | undefined): boolean {
  return other !== undefined && Buffer.compare(one.entry.value, other.entry.value) === 0
}

function stampOf(found: Found): string | undefined {
  return found.kind === 'live' ? found.record.header.stamp : undefined
}

interface Failure {
  readonly failure: unknown
}

function isFailure(outcome: Entry | Failure | undefined): outcome is Failure {
  return outcome !== undefined && 'failure' in outcome
}

function isEntry(outcome: Entry | string | Failure): outcome is Entry {
  return typeof outcome === 'object' && 'value' in outcome
}
