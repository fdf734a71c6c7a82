import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { Backend, Entry, PlainBackend } from '../backend.js'
import { ConfigError, describeValue, unknownOptions } from '../errors.js'
import { bindClient, type RedisClient } from './redis-client.js'
import type { RedisCommands } from './redis-commands.js'
import { checkConnection, CONNECTION_OPTIONS, connectRedis, type RedisConnection } from './redis-connection.js'
import { PlainRedisBackend } from './redis-plain.js'
import { DONE, GONE, MAX_VALUE_BYTES, timeToLive } from './redis-scripts.js'

export type { RedisClient, RedisConnection }

/** How to reach Redis: an address, or a client that is connected already. */
export interface RedisOptions extends RedisConnection {
  /** A client of `@redis/client` (or `redis`), `ioredis` or `iovalkey`. It stays yours to configure, connect and close. */
  client?: RedisClient
  /** Put in front of every key. Default `vishnu:`. */
  prefix?: string
  /**
   * How many replicas must have confirmed a new or changed session, or a log-out, before it counts as done. If they have
   * not within half a second the write rejects with `ERR_BACKEND`. Default 0: done is what the master has, and a
   * failover can lose it.
   */
  waitForReplicas?: number
}

/** For records that are shared with another library. */
export interface PlainRedisOptions extends RedisOptions {
  /** Values are bare records, without the head that other layouts put in front. Dialects such as `vishnuPython()` need it. */
  layout: 'plain'
  /** Put in front of every key. Default: nothing, as in the Python library. */
  prefix?: string
}

/*
 * A value is `<22-character token><13-digit deadline>\n` and then the entry. The token names the version. All operations
 * concern one key, so they work on a cluster; a read is one plain GET.
 */
const TOKEN_LENGTH = 22
const DEADLINE_LENGTH = 13
const HEAD_LENGTH = TOKEN_LENGTH + DEADLINE_LENGTH + 1
const HEAD = /^[\w-]{22}\d{13}\n$/

/** Reads the head of the entry at KEYS[1] exactly as `read` does; what has none is somebody else's. */
const READ_HEAD = `
local head = redis.call('GETRANGE', KEYS[1], 0, 35)
local token, digits = string.match(head, '^([%w_-]+)(${'%d'.repeat(DEADLINE_LENGTH)})\\n$')
if token and #token ~= ${TOKEN_LENGTH} then token = nil end
local live = token and tonumber(digits) > tonumber(ARGV[2])`

/**
 * KEYS[1]; expected token or '' for none, now, new value, milliseconds to keep it.
 * A client that sent the command again after a lost reply finds its own value there: that is success. It is written all
 * the same, for a WAIT behind it: that waits for what its own connection has written, and this may be a new one.
 */
const WRITE = `${READ_HEAD}
if token == string.sub(ARGV[3], 1, ${TOKEN_LENGTH}) then
  redis.call('SETRANGE', KEYS[1], 0, token)
  return 1
end
if ARGV[1] == '' then
  if live then return 0 end
  if not token then return redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4], 'NX') and 1 or 0 end
else
  if not live then return -1 end
  if token ~= ARGV[1] then return 0 end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1`

/** KEYS[1]; expected token, now, new deadline in 13 digits, milliseconds to keep it. */
const TOUCH = `${READ_HEAD}
if not live then return -1 end
if token ~= ARGV[1] then return 0 end
redis.call('SETRANGE', KEYS[1], ${TOKEN_LENGTH}, ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`

const OPTIONS = ['client', 'layout', 'prefix', 'waitForReplicas', ...CONNECTION_OPTIONS]

/**
 * Sessions in Redis 6 or later, or Valkey. Without options: `localhost:6379`, database 0.
 *
 * Durability is the server's: with `appendfsync always` nothing acknowledged is lost in a crash, with `everysec` up to a
 * second's worth of changes, log-outs among them. Give Redis the eviction policy `noeviction`, or it may log visitors out.
 *
 * @throws `ERR_CONFIG` for wrong options, `ERR_CLIENT_MISSING` if no client is given and none is installed.
 */
export function redis(options: PlainRedisOptions): PlainBackend
export function redis(options?: RedisOptions): Backend
export function redis(options: RedisOptions & { layout?: 'plain' } = {}): Backend | PlainBackend {
  const { client, layout, prefix = layout === 'plain' ? '' : 'vishnu:', waitForReplicas = 0, ...connection } = options
  const problems = unknownOptions(options, OPTIONS)
  if (layout !== undefined && layout !== 'plain') problems.push("layout must be 'plain' or left out")
  if (typeof prefix !== 'string') problems.push(`prefix must be a string, not ${describeValue(prefix)}`)
  if (!Number.isInteger(waitForReplicas) || waitForReplicas < 0) {
    problems.push(`waitForReplicas must be a whole number from 0, not ${describeValue(waitForReplicas)}`)
  }
  const target = checkConnection(connection, client !== undefined, problems)
  if (problems.length > 0) throw new ConfigError('redis', problems)
  const commands = client === undefined ? connectRedis(target) : bindClient(client)
  return new (layout === 'plain' ? PlainRedisBackend : RedisBackend)(commands, prefix, waitForReplicas)
}

class RedisBackend implements Backend {
  readonly maxBytes = MAX_VALUE_BYTES - HEAD_LENGTH
  readonly #commands: RedisCommands
  readonly #prefix: string
  readonly #replicas: number

  constructor(commands: RedisCommands, prefix: string, replicas: number) {
    this.#commands = commands
    this.#prefix = prefix
    this.#replicas = replicas
  }

  async read(key: string, now: number): Promise<Entry | undefined> {
    const bytes = await this.#commands.get(this.#prefix + key)
    if (bytes === undefined) return undefined
    const head = bytes.toString('latin1', 0, HEAD_LENGTH)
    // Not written by this backend. The core finds out that it is no record and leaves it alone.
    if (!HEAD.test(head)) return { value: bytes }
    const deadline = Number(head.slice(TOKEN_LENGTH))
    if (deadline <= now) return undefined
    return { value: bytes.subarray(HEAD_LENGTH), version: head.slice(0, TOKEN_LENGTH), deadline }
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const entry = await this.#write(key, '', value, deadline, now)
    return typeof entry === 'string' ? 'exists' : entry
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

  async touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    const args = [entry.version as string, String(now), digits(deadline), timeToLive(deadline, now)]
    // Lost, it ends a session early: no reason to let those who only read wait, or fail, for want of a replica.
    const outcome = await this.#commands.run(TOUCH, this.#prefix + key, args, 0)
    return outcome === DONE ? 'touched' : outcome === GONE ? 'gone' : 'conflict'
  }

  async delete(key: string): Promise<void> {
    await this.#commands.del(this.#prefix + key)
  }

  async close(): Promise<void> {
    await this.#commands.close()
  }

  async #write(
    key: string,
    expected: string,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const token = randomBytes(16).toString('base64url')
    const bytes = Buffer.concat([Buffer.from(`${token}${digits(deadline)}\n`), value])
    const args = [expected, String(now), bytes, timeToLive(deadline, now)]
    const outcome = await this.#commands.run(WRITE, this.#prefix + key, args, this.#replicas)
    if (outcome === DONE) return { value, version: token, deadline }
    return outcome === GONE ? 'gone' : 'conflict'
  }
}

function digits(deadline: number): string {
  return String(Math.trunc(deadline)).padStart(DEADLINE_LENGTH, '0')
}
