import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Entry, KeyPage, PlainBackend } from '../backend.js'
import type { RedisCommands } from './redis-commands.js'
import { DONE, GONE, MAX_VALUE_BYTES, timeToLive } from './redis-scripts.js'

/*
 * A value is the entry and nothing else, so its SHA-1, which scripts can tell, is the version. That two records with one
 * digest can be made is no danger: both would have to be written here, by somebody who may write here what he likes.
 */

/**
 * KEYS[1]; expected digest or '' for none, new value, its digest, milliseconds to keep it.
 * A client that sent the command again after a lost reply finds its own value there: that is success. It is written all
 * the same, for a WAIT behind it, which waits for what its own connection has written.
 */
const WRITE = `
local value = redis.call('GET', KEYS[1])
local digest = value and redis.sha1hex(value) or ''
if digest ~= ARGV[1] and digest ~= ARGV[3] then return value and 0 or -1 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4])
return 1`

/** KEYS[1]; expected digest. */
const DELETE = `
local value = redis.call('GET', KEYS[1])
if not value then return -1 end
if redis.sha1hex(value) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`

/** Records in Redis as another library writes them: bare, under a bare key. */
export class PlainRedisBackend implements PlainBackend {
  readonly layout = 'plain' as const
  readonly maxBytes: number = MAX_VALUE_BYTES
  readonly list: PlainBackend['list']
  readonly #commands: RedisCommands
  readonly #prefix: string
  readonly #replicas: number

  constructor(commands: RedisCommands, prefix: string, replicas: number) {
    this.#commands = commands
    this.#prefix = prefix
    this.#replicas = replicas
    if (commands.scan) this.list = (cursor) => this.#list(cursor)
  }

  async read(key: string): Promise<Entry | undefined> {
    const value = await this.#commands.get(this.#prefix + key)
    return value && { value, version: digestOf(value) }
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const outcome = await this.#write(key, '', value, deadline, now)
    return typeof outcome === 'string' ? 'exists' : outcome
  }

  async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    return this.#write(key, entry.version as string, value, deadline, now)
  }

  async delete(key: string, entry: Entry): Promise<'deleted' | 'conflict' | 'gone'> {
    const outcome = await this.#commands.run(DELETE, this.#prefix + key, [entry.version as string], this.#replicas)
    return outcome === DONE ? 'deleted' : outcome === GONE ? 'gone' : 'conflict'
  }

  async close(): Promise<void> {
    await this.#commands.close()
  }

  async #list(cursor = '0'): Promise<KeyPage> {
    const pattern = `${this.#prefix.replace(/[*?[\]\\^-]/g, '\\$&')}*`
    const page = await this.#commands.scan?.(cursor, pattern)
    const keys = page?.keys.map((key) => key.slice(this.#prefix.length)) ?? []
    return { keys, cursor: page === undefined || page.cursor === '0' ? undefined : page.cursor }
  }

  async #write(
    key: string,
    expected: string,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const digest = digestOf(value)
    const args = [expected, Buffer.from(value), digest, timeToLive(deadline, now)]
    const outcome = await this.#commands.run(WRITE, this.#prefix + key, args, this.#replicas)
    if (outcome === DONE) return { value, version: digest }
    return outcome === GONE ? 'gone' : 'conflict'
  }
}

function digestOf(value: Uint8Array): string {
  return createHash('sha1').update(value).digest('hex')
}
