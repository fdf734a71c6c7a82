import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { ConfigError, SessionError } from '../errors.js'

/** What the Redis backend asks of a client, whichever it is. */
export interface RedisCommands {
  get(key: string): Promise<Buffer | undefined>
  del(key: string): Promise<void>
  /** Runs a script on one key; it answers a whole number. */
  run(script: string, key: string, args: readonly (string | Buffer)[]): Promise<number>
  /** Closes the connection if it is ours. */
  close(): Promise<void>
}

/** A client of `ioredis` or `iovalkey`, or one of `@redis/client`: recognised by what it can do, so none is imported. */
export type RedisClient = IoredisLike | NodeRedisLike

interface IoredisLike {
  getBuffer(...args: never[]): unknown
  evalsha(...args: never[]): unknown
}

interface NodeRedisLike {
  withTypeMapping(...args: never[]): unknown
  evalSha(...args: never[]): unknown
}

export function bindClient(client: RedisClient): RedisCommands {
  if (hasMethod(client, 'getBuffer') && hasMethod(client, 'evalsha')) return bindIoredis(client as unknown as Ioredis)
  if (hasMethod(client, 'withTypeMapping') && hasMethod(client, 'evalSha')) {
    return bindNodeRedis(client as unknown as NodeRedis)
  }
  throw new ConfigError('redis', ['client must be a client of @redis/client 5 or later, ioredis or iovalkey'])
}

interface NodeRedis {
  withTypeMapping(mapping: Record<number, unknown>): NodeRedis
  get(key: string): Promise<Buffer | null>
  del(key: string): Promise<unknown>
  eval(script: string, options: { keys: string[]; arguments: (string | Buffer)[] }): Promise<unknown>
  evalSha(sha: string, options: { keys: string[]; arguments: (string | Buffer)[] }): Promise<unknown>
}

/** RESP's mark of a bulk string: asks @redis/client for the bytes as they are, not for text. */
const BULK_STRING = '$'.charCodeAt(0)

function bindNodeRedis(client: NodeRedis): RedisCommands {
  const binary = client.withTypeMapping({ [BULK_STRING]: Buffer })
  return {
    get: async (key) => (await guarded(() => binary.get(key))) ?? undefined,
    del: async (key) => void (await guarded(() => binary.del(key))),
    run: (script, key, args) => {
      const options = { keys: [key], arguments: [...args] }
      return runScript(
        script,
        (sha) => binary.evalSha(sha, options),
        () => binary.eval(script, options),
      )
    },
    close: async () => undefined,
  }
}

interface Ioredis {
  readonly options?: { readonly autoResendUnfulfilledCommands?: boolean }
  on(event: string, listener: () => void): unknown
  getBuffer(key: string): Promise<Buffer | null>
  del(key: string): Promise<unknown>
  eval(script: string, keys: number, ...keysAndArgs: (string | Buffer)[]): Promise<unknown>
  evalsha(sha: string, keys: number, ...keysAndArgs: (string | Buffer)[]): Promise<unknown>
}

function bindIoredis(client: Ioredis): RedisCommands {
  // By default this client sends commands again whose reply a lost connection has swallowed. A refusal can then be the
  // second run's, of a write that was applied by the first and overwritten since: its outcome is unknown.
  let reconnections = 0
  if (client.options?.autoResendUnfulfilledCommands !== false) client.on('close', () => reconnections++)
  return {
    get: async (key) => (await guarded(() => client.getBuffer(key))) ?? undefined,
    del: async (key) => void (await guarded(() => client.del(key))),
    run: async (script, key, args) => {
      const before = reconnections
      const outcome = await runScript(
        script,
        (sha) => client.evalsha(sha, 1, key, ...args),
        () => client.eval(script, 1, key, ...args),
      )
      if (outcome <= 0 && reconnections !== before) throw new Error('the connection was lost during a write')
      return outcome
    },
    close: async () => undefined,
  }
}

const digests = new Map<string, string>()

/** By its digest, which is short, unless the server does not know the script yet: after a restart, say. */
async function runScript(
  script: string,
  byDigest: (sha: string) => Promise<unknown>,
  bySource: () => Promise<unknown>,
): Promise<number> {
  let sha = digests.get(script)
  if (sha === undefined) {
    sha = createHash('sha1').update(script).digest('hex')
    digests.set(script, sha)
  }
  const digest = sha
  const reply = await guarded(() => byDigest(digest)).catch((error: unknown) => {
    if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return guarded(bySource)
    throw error
  })
  return Number(reply)
}

/** Replies by which the server says that it did not do it and will not: trying again would only add load. */
const REFUSAL = /^(OOM|NOPERM|NOAUTH|WRONGPASS|WRONGTYPE|MISCONF|READONLY|ERR (invalid )?DB|ERR string exceeds)/

async function guarded<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw explained(error)
  }
}

/** A client's error as the core is to see it. */
export function explained<E>(error: E): E | SessionError {
  if (!(error instanceof Error)) return error
  // ioredis attaches the command: the store key and the visitor's values, bound for somebody's error log.
  if ('command' in error) delete error.command
  if (!REFUSAL.test(error.message)) return error
  return new SessionError('ERR_BACKEND', `Redis refused: ${error.message}`, { cause: error })
}

function hasMethod(client: unknown, name: string): boolean {
  return typeof (client as Record<string, unknown> | null | undefined)?.[name] === 'function'
}
