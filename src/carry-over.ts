import { createHash } from 'node:crypto'
import type { Budget } from './budget.js'
import type { Settings } from './config.js'
import { messageOf } from './errors.js'
import { Lifetime } from './lifetime.js'
import { openCookies } from './opened-cookies.js'
import { Changes, type StoredRecord } from './record.js'
import { type Found, RecordStore } from './record-store.js'

/** Another application's sessions. */
interface Origin {
  readonly settings: Settings
  readonly records: RecordStore
}

/** A cookie that leads to one of them. */
export interface ForeignCookie {
  readonly name: string
  readonly id: string
  readonly origin: Origin
}

/**
 * Takes over other applications' sessions, each when its visitor comes: it is written down anew, under an id of ours.
 *
 * That id is made from the old one, so that parallel requests meet in one session. As long as the old record is there,
 * nobody has used the new one: the values are copied, the old record is removed by compare-and-delete, and only then does
 * the handler get the session and the browser our cookie. Whoever fails before has changed nothing that counts, and whoever
 * comes next begins again.
 */
export class CarryOver {
  readonly #settings: Settings
  readonly #lifetime: Lifetime
  readonly #records: RecordStore
  readonly #origins: readonly Origin[]

  constructor(settings: Settings, lifetime: Lifetime, records: RecordStore) {
    this.#settings = settings
    this.#lifetime = lifetime
    this.#records = records
    this.#origins = settings.accept.map((origin) => ({
      settings: origin,
      records: new RecordStore(origin, new Lifetime(origin)),
    }))
  }

  open(cookieHeader: string | undefined): ForeignCookie | undefined {
    for (const origin of this.#origins) {
      const { name } = origin.settings.cookie
      const { opened } = openCookies(cookieHeader, name, origin.settings.dialect)
      if (opened) return { name, id: opened.id, origin }
    }
    return undefined
  }

  /** What the cookie leads to: a session of ours by now, and the id it has. */
  async load({ id: oldId, origin }: ForeignCookie, budget: Budget): Promise<{ id: string; found: Found }> {
    const { dialect, report } = this.#settings
    const id = dialect.newId((size) => bytesFrom(oldId).subarray(0, size))
    const key = dialect.key(id)
    const oldKey = origin.settings.dialect.key(oldId)
    for (let attempt = 0; ; attempt++) {
      // In this order: if the old record is still there when the copy was read, nobody has changed the copy since.
      const copy = await this.#records.load(key, budget)
      if (copy.kind === 'gone') return { id, found: copy }
      const old = await origin.records.load(oldKey, budget)
      if (old.kind === 'gone' && old.tombstone.successor !== key) {
        // Logged out over there, maybe while it was copied.
        await this.#records.terminate(copy, budget)
        return { id, found: old }
      }
      if (old.kind !== 'live' || copy.kind === 'unreadable') return { id, found: copy }

      const { record, left } = this.#translate(old.record, origin)
      const written = await this.#records.put(key, copy, record, budget)
      if (written && (await origin.records.end(old, key, budget))) {
        const { publicId } = record.header
        for (const what of left) report('unsaved', `Not carried over from another application: ${what}`, { publicId })
        return { id, found: written }
      }
      await this.#records.pause(budget, attempt)
    }
  }

  /** The record as ours, and in words what has to stay behind. */
  #translate({ header, values }: StoredRecord, origin: Origin): { record: StoredRecord; left: string[] } {
    const { dialect } = this.#settings
    const changes = new Changes()
    const left: string[] = []
    for (const key of values.keys()) {
      try {
        const value = origin.settings.dialect.decodePortable(key, values.get(key) ?? '')
        changes.set(key, dialect.encodeValue(key, value))
      } catch (error) {
        left.push(messageOf(error))
      }
    }
    if (values.unlisted) left.push(`${values.unlisted} of its values, whose keys are no text`)
    const absolute = header.absolute || this.#lifetime.absoluteDeadline()
    return { record: { header: { ...header, absolute }, values: dialect.noValues.with(changes) }, left }
  }
}

/**
 * Without a secret, like a store key: to who knows an id it opens nothing, and servers that are just being given another
 * first secret must agree on it.
 */
function bytesFrom(id: string): Uint8Array {
  return createHash('sha256').update(`vishnu-carry-v1\0${id}`).digest()
}
