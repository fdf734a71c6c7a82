import { Buffer } from 'node:buffer'
import { field } from './app-engine-memcache-protobuf.js'
import type { AppEngineRpc } from './app-engine-memcache-rpc.js'
import type { MemcachedCommands } from './memcached-entries.js'

/** Of `google/appengine/api/memcache/memcache_service.proto`. Fields are numbered anew in each message. */
const GET = { key: 1, namespace: 2, forCas: 4 }
const GOT = { item: 1, status: 7 }
const GOT_ITEM = { key: 2, value: 3, cas: 5 }
const SET = { item: 1, namespace: 7 }
const SET_ITEM = { key: 2, value: 3, flags: 4, policy: 5, expiry: 6, cas: 8, forCas: 9 }
const DELETE = { item: 1, namespace: 4 }
const DELETE_ITEM = { key: 2, lock: 3 }
const STATUS = 1

const [ADD, CAS] = [2, 4]
/** What Google's clients call a value that is bytes. */
const PLAIN_BYTES = 0
/** Seconds for which nothing may be added in the place of what was deleted. */
const NO_LOCK = 0
const GET_STATUS = ['', 'HIT', 'MISS', 'TRUNCATED', 'DEADLINE_EXCEEDED', 'UNREACHABLE', 'OTHER_ERROR']
const SET_STATUS = ['', 'STORED', 'NOT_STORED', 'ERROR', 'EXISTS', 'DEADLINE_EXCEEDED', 'UNREACHABLE', 'OTHER_ERROR']
const DELETE_STATUS = ['', 'DELETED', 'NOT_FOUND', 'DEADLINE_EXCEEDED', 'UNREACHABLE', 'OTHER_ERROR']

/** The first second that the service takes for a date and not for a time to live: in January 1970, so gone at once. */
const LONG_AGO = 30 * 86_400 + 1

/** The commands of Memcached, as calls of App Engine's service. Its writes don't tell the new CAS id. */
export class AppEngineMemcacheCommands implements MemcachedCommands {
  readonly #rpc: AppEngineRpc
  readonly #namespace: string

  constructor(rpc: AppEngineRpc, namespace: string) {
    this.#rpc = rpc
    this.#namespace = namespace
  }

  async get(key: string): Promise<{ value: Uint8Array; cas: string } | undefined> {
    const reply = await this.#rpc.call(
      'Get',
      Buffer.concat([
        field.bytes(GET.key, key),
        field.bytes(GET.namespace, this.#namespace),
        field.varint(GET.forCas, 1),
      ]),
    )
    const item = reply.group(GOT.item)
    const status = reply.number(GOT.status)
    // Google's own stub tells no status. Any but these two is an outage, and never a visitor without a session.
    const isKnown = status === undefined || GET_STATUS[status] === (item ? 'HIT' : 'MISS')
    if (!isKnown) throw refused('Get', GET_STATUS, status)
    if (!item) return undefined
    const value = item.bytes(GOT_ITEM.value)
    const cas = item.fixed64(GOT_ITEM.cas)
    const isComplete = value !== undefined && cas !== undefined && item.bytes(GOT_ITEM.key)?.toString() === key
    if (!isComplete) throw new Error('App Engine memcache: Get was answered with something else')
    return { value, cas: String(cas) }
  }

  async add(key: string, value: Uint8Array, expiry: number): Promise<object | 'exists'> {
    const status = await this.#set(key, value, ADD, expiry)
    return meaningOf('Set', SET_STATUS, status, { STORED: {}, NOT_STORED: 'exists' } as const)
  }

  async compareAndSet(
    key: string,
    value: Uint8Array,
    expiry: number,
    cas: string,
  ): Promise<object | 'conflict' | 'gone'> {
    const status = await this.#set(key, value, CAS, expiry, [
      field.fixed64(SET_ITEM.cas, BigInt(cas)),
      field.varint(SET_ITEM.forCas, 1),
    ])
    return meaningOf('Set', SET_STATUS, status, { STORED: {}, EXISTS: 'conflict', NOT_STORED: 'gone' } as const)
  }

  /** The service's own deletion asks for no CAS id, so this stores something in the place that has expired already. */
  async compareAndDelete(key: string, cas: string): Promise<'deleted' | 'conflict' | 'gone'> {
    const outcome = await this.compareAndSet(key, Buffer.alloc(0), LONG_AGO, cas)
    return typeof outcome === 'string' ? outcome : 'deleted'
  }

  async delete(key: string): Promise<void> {
    const item = field.group(DELETE.item, [field.bytes(DELETE_ITEM.key, key), field.fixed32(DELETE_ITEM.lock, NO_LOCK)])
    const body = Buffer.concat([item, field.bytes(DELETE.namespace, this.#namespace)])
    const status = (await this.#rpc.call('Delete', body)).number(STATUS)
    meaningOf('Delete', DELETE_STATUS, status, { DELETED: true, NOT_FOUND: true })
  }

  async close(): Promise<void> {
    this.#rpc.close()
  }

  /** In the order of the numbers, as Google's clients write them. */
  async #set(
    key: string,
    value: Uint8Array,
    policy: number,
    expiry: number,
    cas: readonly Buffer[] = [],
  ): Promise<number | undefined> {
    const item = field.group(SET.item, [
      field.bytes(SET_ITEM.key, key),
      field.bytes(SET_ITEM.value, value),
      field.fixed32(SET_ITEM.flags, PLAIN_BYTES),
      field.varint(SET_ITEM.policy, policy),
      field.fixed32(SET_ITEM.expiry, expiry),
      ...cas,
    ])
    const body = Buffer.concat([item, field.bytes(SET.namespace, this.#namespace)])
    return (await this.#rpc.call('Set', body)).number(STATUS)
  }
}

function meaningOf<T>(
  method: string,
  names: readonly string[],
  status: number | undefined,
  meanings: Readonly<Record<string, T>>,
): T {
  const meaning = meanings[names[status ?? 0] ?? '']
  if (meaning === undefined) throw refused(method, names, status)
  return meaning
}

/** The service has tried: whether it has succeeded nobody knows. */
function refused(method: string, names: readonly string[], status: number | undefined): Error {
  const told = status === undefined ? 'no status' : names[status] || `status ${status}`
  return new Error(`App Engine memcache: ${method} was answered with ${told}`)
}
