import { Buffer } from 'node:buffer'
import type { Entry, Expiry, KeyPage, PlainBackend } from '../backend.js'
import type { PropertyValue } from './datastore-client.js'
import { type DatastoreConnection, openDatastore } from './datastore-connection.js'
import {
  EntityStore,
  MAX_ATTEMPTS,
  MAX_VALUE_BYTES,
  NULL,
  PAGE_SIZE,
  type Properties,
  type PropertyFilter,
  unsettled,
  upTo,
} from './datastore-entities.js'
import { fromTimestamp, toTimestamp } from './datastore-timestamp.js'

/** Which database. */
export type AppEngineNdbOptions = DatastoreConnection

/**
 * The sessions that the Python library keeps in App Engine NDB, to share them with it. Needs the dialect
 * `vishnuPython({ format: 'ndb' })`, and the package `@google-cloud/datastore`.
 *
 * NDB in App Engine's bundled services keeps copies of entities in memcache, which a write from here does not change: the
 * model `VishnuSession` needs `_use_memcache = False`, or Python works on with old sessions.
 *
 * @throws `ERR_CONFIG` for wrong options, `ERR_CLIENT_MISSING` if the package is not installed.
 */
export function appEngineNdb(options: AppEngineNdbOptions = {}): PlainBackend {
  const target = openDatastore('appEngineNdb', options, { names: [], problems: [] })
  return new AppEngineNdbBackend(new EntityStore(target, 'VishnuSession'))
}

/** Means that a blob is compressed. Without it NDB in Python 2 takes the compressed bytes for the pickle. */
const COMPRESSED = 22

/** The kind's columns are taken apart and put together here; what is in `data` only the dialect knows. */
class AppEngineNdbBackend implements PlainBackend {
  readonly layout = 'plain' as const
  readonly form = 'ndb' as const
  readonly maxBytes = MAX_VALUE_BYTES
  readonly #entities: EntityStore

  constructor(entities: EntityStore) {
    this.#entities = entities
  }

  async read(key: string): Promise<Entry | undefined> {
    const found = await this.#entities.get(key)
    return found && { value: valueOf(found.properties), version: found.version }
  }

  async create(key: string, value: Uint8Array): Promise<Entry | 'exists'> {
    const properties = propertiesOf(value)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const version = await this.#entities.insert(key, properties)
      if (version !== undefined) return { value, version }
      if (await this.#entities.get(key)) return 'exists'
    }
    throw unsettled()
  }

  async replace(key: string, entry: Entry, value: Uint8Array): Promise<Entry | 'conflict' | 'gone'> {
    const properties = propertiesOf(value)
    const outcome = await this.#settle(key, entry, (version) => this.#entities.update(key, version, properties))
    return typeof outcome === 'string' ? outcome : { value, version: outcome.done }
  }

  async delete(key: string, entry: Entry): Promise<'deleted' | 'conflict' | 'gone'> {
    const outcome = await this.#settle(key, entry, (version) => this.#entities.remove(key, version))
    return typeof outcome === 'string' ? outcome : 'deleted'
  }

  /**
   * By two queries, each of one property, so that no index has to be made: first what has ended, then what has no end and was
   * not used for long.
   */
  async list(cursor = 'ended ', expiry?: Expiry): Promise<KeyPage> {
    const [step, position] = cursor.split(' ') as [step: string, position: string]
    if (!expiry) return this.#page([], 'all', position)
    const { now, dormantBefore } = expiry
    if (step === 'ended') {
      const { keys, cursor: next = 'dormant ' } = await this.#page(upTo('expires', now), step, position)
      return { keys, cursor: next }
    }
    const page = await this.#page(upTo('last_accessed', dormantBefore), step, position)
    const found = await this.#entities.getAll(page.keys, ['expires'])
    const endless = found.filter(({ properties }) => fromTimestamp(properties['expires']) === undefined)
    return { keys: endless.map(({ name }) => name), cursor: page.cursor }
  }

  async close(): Promise<void> {
    await this.#entities.close()
  }

  async #page(filters: readonly PropertyFilter[], step: string, position: string): Promise<KeyPage> {
    const { names, cursor } = await this.#entities.query(filters, PAGE_SIZE, position)
    return { keys: names, cursor: cursor === undefined ? undefined : `${step} ${cursor}` }
  }

  /** What has become of a write to one version, which may be refused while others only hold the entity. */
  async #settle<T>(
    key: string,
    { version }: Entry,
    write: (version: string) => Promise<T | undefined>,
  ): Promise<{ done: T } | 'conflict' | 'gone'> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const done = await write(version as string)
      if (done !== undefined) return { done }
      const found = await this.#entities.get(key)
      if (found?.version !== version) return found ? 'conflict' : 'gone'
    }
    throw unsettled()
  }
}

/** The line of JSON and the data that `vishnuPython({ format: 'ndb' })` reads. */
function valueOf(properties: Properties): Uint8Array {
  const { expires, last_accessed: lastAccessed, data } = properties
  const columns = { expires: fromTimestamp(expires) ?? null, last_accessed: fromTimestamp(lastAccessed) ?? null }
  const blob = data?.blobValue instanceof Uint8Array ? data.blobValue : new Uint8Array()
  return Buffer.concat([Buffer.from(`${JSON.stringify(columns)}\n`), blob])
}

function propertiesOf(value: Uint8Array): Properties {
  const end = value.indexOf(0x0a)
  const columns = JSON.parse(Buffer.from(value.subarray(0, end)).toString()) as Record<string, number | null>
  return {
    expires: timeOrNull(columns['expires']),
    last_accessed: timeOrNull(columns['last_accessed']),
    data: { blobValue: value.subarray(end + 1), meaning: COMPRESSED, excludeFromIndexes: true },
  }
}

function timeOrNull(time: number | null | undefined): PropertyValue {
  return typeof time === 'number' ? { timestampValue: toTimestamp(time) } : NULL
}
