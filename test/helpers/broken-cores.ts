import type { SessionsOptions } from '../../src/index.js'
import { bytesOf, type Change, type Found, SimpleCore, type SimpleRecord, type SimpleVisit } from './simple-core.js'

/* Cores that are wrong, each in one way in which a session library has been. */

class WholeRecord extends SimpleCore {
  /** What the request loaded, with its changes: what others have stored since is overwritten. */
  override apply(_: SimpleRecord, changes: ReadonlyMap<string, unknown>, loaded: SimpleRecord): SimpleRecord {
    return super.apply(loaded, changes, loaded)
  }
}

class DeepMerge extends SimpleCore {
  override apply(record: SimpleRecord, changes: ReadonlyMap<string, unknown>, loaded: SimpleRecord): SimpleRecord {
    const merged = new Map(changes)
    for (const [key, value] of changes) {
      const stored = record.values[key]
      if (isObject(value) && isObject(stored)) merged.set(key, { ...stored, ...value })
    }
    return super.apply(record, merged, loaded)
  }
}

class Launders extends SimpleCore {
  /** The session is not there: then it is stored under a fresh id, with all that it had. */
  override async saveLate(visit: SimpleVisit): Promise<'gone' | 'stored'> {
    const values = Object.fromEntries(visit.changes)
    const record = { publicId: visit.publicId, timeout: 900, values }
    visit.issue(await this.create(record), record)
    return 'stored'
  }
}

class DeletesAndUpserts extends SimpleCore {
  override async end(id: string): Promise<boolean> {
    await this.backend.delete(id)
    return true
  }

  /** What the request has loaded is stored again, with its changes. */
  override async change(id: string, change: Change, loaded?: SimpleRecord): Promise<SimpleRecord | undefined> {
    const changed = await super.change(id, change)
    if (changed || !loaded) return changed
    const record = change(loaded)
    await this.backend.create(id, bytesOf(record), this.deadline(record), this.now())
    return record
  }
}

class ClearsCookies extends SimpleCore {
  override cookieForNoSession(): string {
    return 'sid=; Max-Age=0'
  }
}

class Adopts extends SimpleCore {
  override async begin(record: SimpleRecord, presented: string | undefined): Promise<string> {
    if (presented === undefined) return this.create(record)
    const outcome = await this.backend.create(presented, bytesOf(record), this.deadline(record), this.now())
    return outcome === 'exists' ? this.create(record) : presented
  }
}

class KeepsOldId extends SimpleCore {
  override async rotate(id: string, change: Change): Promise<string | undefined> {
    const found = await this.load(id)
    return !found || found.record.ended ? undefined : this.create(change(found.record))
  }
}

class RotatesWhatItLoaded extends SimpleCore {
  /** The old id ends first, and the new one gets what was read before that. */
  override async rotate(id: string, change: Change): Promise<string | undefined> {
    const found = await this.load(id)
    if (!found || found.record.ended || !(await this.end(id))) return undefined
    return this.create(change(found.record))
  }
}

class OnlyClearsTheCookie extends SimpleCore {
  override async end(): Promise<boolean> {
    return true
  }
}

class OutageIsAbsence extends SimpleCore {
  override load(id: string): Promise<Found | undefined> {
    return super.load(id).catch(() => undefined)
  }
}

class RepeatsUpdates extends SimpleCore {
  override async update(
    id: string,
    key: string,
    change: (current: unknown) => unknown,
  ): Promise<SimpleRecord | undefined> {
    return super.update(id, key, change).catch(() => super.update(id, key, change))
  }
}

class UpdatesByGetAndSet extends SimpleCore {
  override async update(
    id: string,
    key: string,
    change: (current: unknown) => unknown,
  ): Promise<SimpleRecord | undefined> {
    const found = await this.load(id)
    if (!found || found.record.ended) return undefined
    const value = change(found.record.values[key])
    return this.change(id, (record) => ({ ...record, values: { ...record.values, [key]: value } }))
  }
}

class ReadersWrite extends SimpleCore {
  /** Prolongs a session by storing it again as it was when the request began. */
  override async touch(id: string, record: SimpleRecord): Promise<void> {
    await this.change(id, () => record)
  }
}

class NeverExpires extends SimpleCore {
  override deadline(): number {
    return this.now() + 365 * 86_400_000
  }
}

class ShortIds extends SimpleCore {
  override newId(): string {
    return super.newId().slice(0, 1).padEnd(43, 'x')
  }
}

class LosesLogOuts extends SimpleCore {
  #ended = 0

  override async end(id: string, successor?: string): Promise<boolean> {
    return ++this.#ended % 5 === 0 ? true : super.end(id, successor)
  }
}

class RotatesTwice extends SimpleCore {
  /** Does not look whether the old id has ended already: two log-ins at once both get one. */
  override async rotate(id: string, change: Change): Promise<string | undefined> {
    const found = await this.load(id)
    if (!found || found.record.ended) return undefined
    const successor = await this.create(change(found.record))
    await this.end(id, successor)
    return successor
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** By name, in the words of the bug. */
export const brokenCores = {
  'a save stores the whole session as it was loaded': (options) => new WholeRecord(options),
  'values are merged member by member': (options) => new DeepMerge(options),
  'a session that has ended is saved under a fresh id': (options) => new Launders(options),
  'a log-out deletes, and a late save creates': (options) => new DeletesAndUpserts(options),
  'a response without a session clears the cookie': (options) => new ClearsCookies(options),
  'a new session gets the id that the cookie asks for': (options) => new Adopts(options),
  'the old id lives on after a log-in': (options) => new KeepsOldId(options),
  'a log-in takes along what was loaded, not what was stored since': (options) => new RotatesWhatItLoaded(options),
  'of two log-ins at once both succeed': (options) => new RotatesTwice(options),
  'a log-out only clears the cookie': (options) => new OnlyClearsTheCookie(options),
  'a log-out is lost now and then': (options) => new LosesLogOuts(options),
  'an outage is taken for a visitor without a session': (options) => new OutageIsAbsence(options),
  'an update is repeated when its reply is lost': (options) => new RepeatsUpdates(options),
  'an update is a get and a set': (options) => new UpdatesByGetAndSet(options),
  'a request that only reads writes back what it read': (options) => new ReadersWrite(options),
  'no session expires': (options) => new NeverExpires(options),
  'ids are short, and nobody looks whether one is taken': (options) => new ShortIds(options),
} satisfies Record<string, (options: SessionsOptions) => SimpleCore>
