import { randomBytes } from 'node:crypto'
import type { Backend, Entry, Expiry, Sweepable } from '../backend.js'
import { describeValue } from '../errors.js'
import type { DatastoreClient } from './datastore-client.js'
import { type DatastoreConnection, openDatastore } from './datastore-connection.js'
import {
  EntityStore,
  type FoundEntity,
  MAX_ATTEMPTS,
  MAX_VALUE_BYTES,
  PAGE_SIZE,
  type Properties,
  type PropertyFilter,
  unsettled,
  upTo,
} from './datastore-entities.js'
import { fromTimestamp, toTimestamp } from './datastore-timestamp.js'

export type { DatastoreClient, DatastoreConnection }

/** Which database, and the kind of the entities in it. */
export interface DatastoreOptions extends DatastoreConnection {
  /** The kind of the entities. Default `VishnuNativeSession`. */
  kind?: string
}

/**
 * Sessions in Google Cloud Datastore, or Firestore in Datastore mode. Uses the package `@google-cloud/datastore`, and
 * connects when the first session is read.
 *
 * @throws `ERR_CONFIG` for wrong options, `ERR_CLIENT_MISSING` if the package is not installed.
 */
export function datastore(options: DatastoreOptions = {}): Backend & Sweepable {
  const { kind = 'VishnuNativeSession', ...connection } = options
  const isKind = typeof kind === 'string' && /^(?!__.*__$)[\w.-]{1,100}$/.test(kind)
  const problems = isKind ? [] : [`kind must be up to 100 letters, digits and ._-, not ${describeValue(kind)}`]
  return new DatastoreBackend(
    new EntityStore(openDatastore('datastore', connection, { names: ['kind'], problems }), kind),
  )
}

/*
 * An entity has three properties. `value`: the entry. `token`: names the version, since a touch is a write too, and must
 * leave the version valid. `expires`, the only indexed one: when Datastore may remove the entity, if there is a TTL policy
 * on it. A version is the token and Datastore's own version of the entity: with the latter at hand a write is one call,
 * and if that is refused, a look at the token tells a touch, to be written over, from a newer value.
 */
const TOKEN_LENGTH = 22

/** Names like `__…__`, which a key may be, are reserved. */
const KEY_PREFIX = 'session-'

/** A TTL policy goes by Google's clock, which ours may be behind. A day more of storage costs next to nothing. */
const SLACK_MS = 86_400_000

/** A count of more would take longer than anybody waits for it. */
const MAX_COUNT = 10_000

/** What is at a key. The deadline of what this backend has not written is infinite, and its token undefined. */
interface Stored {
  readonly token: string | undefined
  readonly deadline: number
  readonly value: Uint8Array
  readonly version: string
}

class DatastoreBackend implements Backend, Sweepable {
  readonly maxBytes = MAX_VALUE_BYTES
  readonly #entities: EntityStore

  constructor(entities: EntityStore) {
    this.#entities = entities
  }

  async read(key: string, now: number): Promise<Entry | undefined> {
    const found = await this.#live(key, now)
    if (!found) return undefined
    const { token, value, version, deadline } = found
    // Not written by this backend. The core finds out that it is no record and leaves it alone.
    return token === undefined ? { value } : { value, version: token + version, deadline }
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const token = newToken()
    const properties = propertiesOf(token, value, deadline)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const inserted = await this.#entities.insert(KEY_PREFIX + key, properties)
      if (inserted !== undefined) return { value, version: token + inserted, deadline }
      const found = await this.#find(key)
      if (found && found.deadline > now) return 'exists'
      // It has expired, or gone since: one more try in its place, or in nobody's.
      const replaced = found && (await this.#entities.update(KEY_PREFIX + key, found.version, properties))
      if (replaced !== undefined) return { value, version: token + replaced, deadline }
    }
    throw unsettled()
  }

  async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    return this.#update(key, entry, newToken(), value, deadline, now)
  }

  async touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    const [token] = parseVersion(entry)
    const outcome = await this.#update(key, entry, token, entry.value, deadline, now)
    return typeof outcome === 'string' ? outcome : 'touched'
  }

  async delete(key: string): Promise<void> {
    await this.#entities.removeAny(KEY_PREFIX + key)
  }

  async sweep({ now }: Expiry, limit: number): Promise<{ deleted: number; done: boolean }> {
    const { names, cursor } = await this.#entities.query(isOver(now), limit + 1)
    const found = await this.#entities.getAll(names.slice(0, limit), ['expires'])
    const over = found.filter(({ properties }) => deadlineOf(properties) <= now)
    const removed = await Promise.all(over.map(({ name, version }) => this.#entities.remove(name, version)))
    return { deleted: removed.filter(Boolean).length, done: cursor === undefined }
  }

  /** Stops at 10,000. */
  async countExpired({ now }: Expiry): Promise<number> {
    let count = 0
    let cursor: string | undefined
    do {
      const page = await this.#entities.query(isOver(now), PAGE_SIZE, cursor)
      count += page.names.length
      cursor = page.cursor
    } while (cursor !== undefined && count < MAX_COUNT)
    return count
  }

  async close(): Promise<void> {
    await this.#entities.close()
  }

  async #update(
    key: string,
    entry: Entry,
    token: string,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const properties = propertiesOf(token, value, deadline)
    const [expected, knownVersion] = parseVersion(entry)
    // Known to have expired, unless it was touched since.
    let version = (entry.deadline ?? 0) > now ? knownVersion : undefined
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const updated = version && (await this.#entities.update(KEY_PREFIX + key, version, properties))
      if (updated) return { value, version: token + updated, deadline }
      const found = await this.#live(key, now)
      if (version !== undefined && found?.token === token && found.version !== version) {
        // Another touch came between: it is as if it had come right after ours.
        return { value, version: token + found.version, deadline: found.deadline }
      }
      if (found?.token !== expected) return found ? 'conflict' : 'gone'
      version = found.version
    }
    throw unsettled()
  }

  async #live(key: string, now: number): Promise<Stored | undefined> {
    const found = await this.#find(key)
    return found && found.deadline > now ? found : undefined
  }

  async #find(key: string): Promise<Stored | undefined> {
    const found = await this.#entities.get(KEY_PREFIX + key)
    return found && storedIn(found)
  }
}

function newToken(): string {
  return randomBytes(16).toString('base64url')
}

function propertiesOf(token: string, value: Uint8Array, deadline: number): Properties {
  return {
    expires: { timestampValue: toTimestamp(Math.trunc(deadline) + SLACK_MS) },
    token: { stringValue: token, excludeFromIndexes: true },
    value: { blobValue: value, excludeFromIndexes: true },
  }
}

function storedIn({ version, properties }: FoundEntity): Stored {
  const token = properties['token']?.stringValue ?? undefined
  const value = properties['value']?.blobValue
  if (token?.length !== TOKEN_LENGTH || !(value instanceof Uint8Array)) {
    return { token: undefined, deadline: Infinity, value: new Uint8Array(), version }
  }
  return { token, deadline: deadlineOf(properties), value, version }
}

function deadlineOf(properties: Properties): number {
  const expires = fromTimestamp(properties['expires'])
  return expires === undefined ? Infinity : expires - SLACK_MS
}

function isOver(now: number): PropertyFilter[] {
  return upTo('expires', now + SLACK_MS)
}

/** The token, and Datastore's version. */
function parseVersion({ version }: Entry): [token: string, version: string] {
  const text = String(version)
  return [text.slice(0, TOKEN_LENGTH), text.slice(TOKEN_LENGTH)]
}
