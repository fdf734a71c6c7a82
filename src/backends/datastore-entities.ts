import { Buffer } from 'node:buffer'
import {
  ABORTED,
  ALREADY_EXISTS,
  codeOf,
  type DatastoreClient,
  type Entity,
  explained,
  FAILED_PRECONDITION,
  NOT_FOUND,
  type PropertyValue,
} from './datastore-client.js'
import type { DatastoreTarget } from './datastore-connection.js'
import { toTimestamp } from './datastore-timestamp.js'

export type Properties = Readonly<Record<string, PropertyValue>>

/** An entity as it was found. */
export interface FoundEntity {
  readonly name: string
  /** Datastore's own, which grows with every write. */
  readonly version: string
  readonly properties: Properties
}

/** A condition on one indexed property. */
export interface PropertyFilter {
  readonly property: string
  readonly op: 'LESS_THAN_OR_EQUAL' | 'GREATER_THAN'
  readonly value: PropertyValue
}

/** One page of a query, and where the next begins; undefined: this was the last. */
export interface EntityPage {
  readonly names: readonly string[]
  readonly cursor: string | undefined
}

/** Of one entity's value. Datastore's limit for a whole entity is 1,048,572 bytes. */
export const MAX_VALUE_BYTES = 1_000_000

/** How many keys a query asks for. */
export const PAGE_SIZE = 500

/** How often a write is tried that others come before, without a change of the value, or only hold up. */
export const MAX_ATTEMPTS = 10

export function unsettled(): Error {
  return new Error(`Datastore refused each of ${MAX_ATTEMPTS} attempts to write a session that nobody else has changed`)
}

export const NULL: PropertyValue = { nullValue: 'NULL_VALUE' }

/**
 * Timestamps up to this time, in epoch milliseconds. Null sorts before all of them: without the lower bound a query for
 * sessions that are over would find those without an end, for which Python writes null.
 */
export function upTo(property: string, time: number): PropertyFilter[] {
  return [
    { property, op: 'GREATER_THAN', value: NULL },
    { property, op: 'LESS_THAN_OR_EQUAL', value: { timestampValue: toTimestamp(time) } },
  ]
}

/** The entities of one kind. Each method is one call to Datastore, within the timeout, and never repeated. */
export class EntityStore {
  readonly #target: DatastoreTarget
  readonly #kind: string
  readonly #limits: { timeout: number; retry: null }
  #projectId: string | undefined

  constructor(target: DatastoreTarget, kind: string) {
    this.#target = target
    this.#kind = kind
    // By default Google's client asks again for ten minutes.
    this.#limits = { timeout: target.timeout, retry: null }
    this.#projectId = target.projectId
  }

  async get(name: string): Promise<FoundEntity | undefined> {
    const [found] = await this.getAll([name])
    return found
  }

  /** Those that are there. `mask`: a hint that only these properties are needed. */
  async getAll(names: readonly string[], mask?: readonly string[]): Promise<FoundEntity[]> {
    if (names.length === 0) return []
    const { client, database } = await this.#open()
    const keys = names.map((name) => this.#key(database, name))
    const request = { ...database, keys, ...(mask && { propertyMask: { paths: mask } }) }
    const [{ found, missing, deferred }] = await client.lookup(request, this.#limits).catch((error: unknown) => {
      throw explained(error, names)
    })
    // A busy server may put keys off. They are not missing.
    const later = (deferred ?? []).map((key) => nameOf({ key }))
    const settled = (found?.length ?? 0) + (missing?.length ?? 0)
    if (settled === 0 || settled + later.length < names.length) throw new Error('Datastore did not look up all keys')
    const entities = (found ?? []).map(({ entity, version }) => ({
      name: nameOf(entity),
      version: String(version),
      properties: entity?.properties ?? {},
    }))
    return [...entities, ...(await this.getAll(later, mask))]
  }

  /** The new version; undefined if there is an entity already, or others are writing it. */
  async insert(name: string, properties: Properties): Promise<string | undefined> {
    return this.#commit(name, (key) => ({ insert: { key, properties } }))
  }

  /** Replaces exactly this version. The new version; undefined if it is not there, or others are writing it. */
  async update(name: string, version: string, properties: Properties): Promise<string | undefined> {
    return this.#commit(name, (key) => ({ update: { key, properties }, ...exactly(version) }))
  }

  /** Removes exactly this version. As {@link update}. */
  async remove(name: string, version: string): Promise<string | undefined> {
    return this.#commit(name, (key) => ({ delete: key, ...exactly(version) }))
  }

  /** Removes what is there, if anything is. */
  async removeAny(name: string): Promise<void> {
    const removed = await this.#commit(name, (key) => ({ delete: key }))
    if (removed === undefined) throw new Error('Datastore did not remove an entity, since others are writing it')
  }

  /** Keys only. Starts at the cursor, if that is not empty. */
  async query(filters: readonly PropertyFilter[], limit: number, cursor = ''): Promise<EntityPage> {
    const { client, database } = await this.#open()
    const propertyFilters = filters.map(({ property, op, value }) => ({
      propertyFilter: { property: { name: property }, op, value },
    }))
    const query = {
      kind: [{ name: this.#kind }],
      projection: [{ property: { name: '__key__' } }],
      ...(filters.length > 0 && { filter: { compositeFilter: { op: 'AND', filters: propertyFilters } } }),
      limit: { value: limit },
      ...(cursor !== '' && { startCursor: Buffer.from(cursor, 'base64') }),
    }
    const request = { ...database, partitionId: this.#partition(database), query }
    const [{ batch }] = await client.runQuery(request, this.#limits).catch((error: unknown) => {
      throw explained(error)
    })
    const names = (batch?.entityResults ?? []).map(({ entity }) => nameOf(entity))
    // The Datastore emulator never says that there are no more.
    const isLast = names.length < limit && batch?.moreResults !== 'NOT_FINISHED'
    return { names, cursor: isLast ? undefined : Buffer.from(batch?.endCursor ?? '').toString('base64') }
  }

  async close(): Promise<void> {
    await this.#target.close()
  }

  /** The new version; undefined if the condition did not hold, or if it can't be told because others hold the entity. */
  async #commit(name: string, mutationOf: (key: object) => object): Promise<string | undefined> {
    const { client, database } = await this.#open()
    const mutations = [mutationOf(this.#key(database, name))]
    try {
      const request = { ...database, mode: 'NON_TRANSACTIONAL', mutations }
      const [{ mutationResults }] = await client.commit(request, this.#limits)
      const [result] = mutationResults ?? []
      return result?.conflictDetected ? undefined : String(result?.version)
    } catch (error) {
      if (REFUSALS.includes(codeOf(error) as number)) return undefined
      throw explained(error, [name])
    }
  }

  async #open(): Promise<{ client: DatastoreClient; database: Database }> {
    const client = await this.#target.connect()
    this.#projectId ??= await client.getProjectId()
    return { client, database: { projectId: this.#projectId, databaseId: this.#target.databaseId } }
  }

  #key(database: Database, name: string): object {
    return { partitionId: this.#partition(database), path: [{ kind: this.#kind, name }] }
  }

  #partition(database: Database): object {
    return { ...database, namespaceId: this.#target.namespace }
  }
}

interface Database {
  readonly projectId: string
  readonly databaseId: string
}

/** Servers differ in what they answer to a condition that does not hold; a look at the entity tells what was the matter. */
const REFUSALS = [NOT_FOUND, ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED]

/** Always with the strategy: by its default the Firestore emulator writes over whatever version is there. */
function exactly(baseVersion: string): object {
  return { baseVersion, conflictResolutionStrategy: 'FAIL' }
}

function nameOf(entity: Entity | null | undefined): string {
  return entity?.key?.path?.at(-1)?.name ?? ''
}
