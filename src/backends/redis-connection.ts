import { createRequire } from 'node:module'
import { describeValue, isHost, isMissingPackage, isWholeNumber, SessionError } from '../errors.js'
import { bindClient, type RedisClient } from './redis-client.js'
import { explained, type RedisCommands } from './redis-commands.js'

/** Where Redis is, for a connection of the backend's own. Nothing is connected before the first session is read. */
export interface RedisConnection {
  /** Default `localhost`. */
  host?: string
  /** Default 6379. */
  port?: number
  /** The number of the database. Default 0. */
  db?: number
  /** Of Redis's ACL. Default: none. */
  username?: string
  /** Default: none. */
  password?: string
  /** `true`, or options for `tls.connect`, for example `{ ca }`. */
  tls?: boolean | object
  /** Where and who in one: `redis://user:password@host:6379/0`; `rediss:` for TLS, with `tls` for its options. */
  url?: string
}

/** Installed clients are tried in this order; node-redis is the one that the others' authors recommend. */
const CLIENT_PACKAGES = ['@redis/client', 'redis', 'ioredis', 'iovalkey'] as const

const CONNECT_TIMEOUT_MS = 1000
/** A connection on which nothing arrives for so long is dead: the network may have dropped it without telling. */
const SILENCE_MS = 5000

const reconnectDelay = (attempt: number): number => Math.min(50 * 2 ** attempt, 500)

/**
 * A connection that fails soon and heals itself: no queue of commands while the server is away, nothing sent twice. The
 * clients' own defaults wait for ever for a server that hangs.
 */
export function connectRedis(target: RedisTarget): RedisCommands {
  const { name, module } = requireClient()
  return name === '@redis/client' || name === 'redis'
    ? connectNodeRedis(module, target)
    : connectIoredis(module, target)
}

export type RedisTarget = Required<Pick<RedisConnection, 'host' | 'port' | 'db' | 'tls'>> &
  Pick<RedisConnection, 'username' | 'password'>

const PLACE = ['host', 'port', 'db', 'username', 'password', 'tls'] as const
export const CONNECTION_OPTIONS: readonly string[] = [...PLACE, 'url']

/** The connection with its defaults. What is wrong with it is added to the problems. */
export function checkConnection(connection: RedisConnection, hasClient: boolean, problems: string[]): RedisTarget {
  const { url, ...rest } = connection
  const given = PLACE.filter((name) => rest[name] !== undefined)
  const twice = given.filter((name) => name !== 'tls')
  if (url !== undefined && twice.length > 0) problems.push(`url says it all: leave out ${twice.join(', ')}`)
  if (hasClient && (url !== undefined || given.length > 0)) {
    problems.push('client is connected already: pass either client or where to connect, not both')
  }

  const fromUrl = url === undefined ? {} : parseUrl(url)
  if (!fromUrl) problems.push('url must look like redis://user:password@host:6379/0')
  const options = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  const all: RedisConnection = { ...fromUrl, ...options }
  const { host = 'localhost', port = 6379, db = 0, username, password, tls = false } = all
  const refuse = (name: string, rule: string, value: unknown): void =>
    void problems.push(`${name} must be ${rule}, not ${describeValue(value)}`)
  if (!isHost(host)) refuse('host', 'a host name or an address', host)
  if (!isWholeNumber(port, 1, 65_535)) refuse('port', 'a whole number from 1 to 65535', port)
  if (!isWholeNumber(db, 0, 1_000_000)) refuse('db', 'a whole number from 0', db)
  if (typeof (username ?? '') !== 'string') refuse('username', 'a string', username)
  // Not shown: it may be a real one, of the wrong type.
  if (typeof (password ?? '') !== 'string') problems.push('password must be a string')
  if (typeof tls !== 'boolean' && (typeof tls !== 'object' || tls === null)) refuse('tls', 'true or an object', tls)
  return { host, port, db, tls, ...(username && { username }), ...(password && { password }) }
}

function parseUrl(text: string): RedisConnection | undefined {
  try {
    const url = new URL(text)
    const [, db] = /^\/?(\d*)$/.exec(url.pathname) ?? []
    if (db === undefined || !['redis:', 'rediss:'].includes(url.protocol)) return undefined
    return {
      ...(url.hostname && { host: url.hostname.replace(/^\[(.*)\]$/, '$1') }),
      ...(url.port && { port: Number(url.port) }),
      db: Number(db),
      ...(url.username && { username: decodeURIComponent(url.username) }),
      ...(url.password && { password: decodeURIComponent(url.password) }),
      tls: url.protocol === 'rediss:',
    }
  } catch {
    // Not a URL, or one with a stray % in the password.
    return undefined
  }
}

/** The clients are CommonJS, and required: a missing one is then known at start, and not by the first visitor. */
function requireClient(): { name: (typeof CLIENT_PACKAGES)[number]; module: object } {
  const require = createRequire(import.meta.url)
  for (const name of CLIENT_PACKAGES) {
    try {
      return { name, module: require(name) as object }
    } catch (error) {
      if (!isMissingPackage(error, name)) throw error
    }
  }
  throw new SessionError(
    'ERR_CLIENT_MISSING',
    `redis() needs a Redis client: npm install ${CLIENT_PACKAGES[0]} (or ioredis, or iovalkey), or pass your own as { client }`,
  )
}

function connectNodeRedis(module: object, { host, port, db, username, password, tls }: RedisTarget): RedisCommands {
  const { createClient } = module as { createClient: (options: object) => RedisClient & NodeRedisConnection }
  const client = createClient({
    database: db,
    ...(username && { username }),
    ...(password && { password }),
    socket: {
      host,
      port,
      ...(tls && { tls: true, ...(typeof tls === 'object' && tls) }),
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_MS,
      reconnectStrategy: reconnectDelay,
    },
    disableOfflineQueue: true,
    pingInterval: SILENCE_MS / 2,
    // The core bounds every call; a timer object for each command would cost four times the command.
    commandOptions: { timeout: undefined },
  })
  return connectLazily(bindClient(client), client, {
    isReady: () => client.isReady,
    connect: () => client.connect(),
    close: () => client.destroy(),
  })
}

interface NodeRedisConnection extends Connection {
  readonly isReady: boolean
  connect(): Promise<unknown>
  destroy(): void
}

function connectIoredis(module: object, { host, port, db, username, password, tls }: RedisTarget): RedisCommands {
  const { Redis } = module as { Redis: new (options: object) => RedisClient & IoredisConnection }
  const client = new Redis({
    host,
    port,
    db,
    ...(username && { username }),
    ...(password && { password }),
    ...(tls && { tls: typeof tls === 'object' ? tls : {} }),
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MS,
    retryStrategy: reconnectDelay,
  })
  return connectLazily(bindClient(client), client, {
    isReady: () => client.status === 'ready',
    connect: () => client.connect(),
    close: () => client.disconnect(),
  })
}

interface IoredisConnection extends Connection {
  readonly status: string
  connect(): Promise<unknown>
  disconnect(): void
}

interface Connection {
  on(event: 'error' | 'connect', listener: (error: Error) => void): unknown
}

/**
 * Connects when first used. Commands wait for the first try only, then fail with its reason until the connection is
 * there: both clients go on trying by themselves.
 */
function connectLazily(
  commands: RedisCommands,
  client: Connection,
  { isReady, connect, close }: { isReady: () => boolean; connect: () => Promise<unknown>; close: () => void },
): RedisCommands {
  let lastError = new Error('Redis is not connected yet')
  let firstTry: Promise<unknown> | undefined
  let isClosed = false
  // iovalkey goes on, in database 0 and as whoever it may be, if the server refuses the database or the password.
  let refusal: Error | undefined
  client.on('connect', () => (refusal = undefined))
  // Without a listener a lost connection would end the process.
  client.on('error', (error) => {
    lastError = error
    if (error.name === 'ReplyError') refusal = error
  })

  async function ready(): Promise<void> {
    if (isClosed) throw new SessionError('ERR_BACKEND', 'The Redis backend was closed')
    firstTry ??= Promise.race([
      new Promise<void>((resolve) => client.on('error', () => resolve())),
      connect().catch((error: Error) => (lastError = error)),
    ])
    await firstTry
    if (refusal || !isReady()) throw explained(refusal ?? lastError)
  }

  return {
    get: async (key) => {
      await ready()
      return commands.get(key)
    },
    del: async (key) => {
      await ready()
      return commands.del(key)
    },
    run: async (script, key, args, replicas) => {
      await ready()
      return commands.run(script, key, args, replicas)
    },
    ...(commands.scan && {
      scan: async (...args) => {
        await ready()
        return commands.scan!(...args)
      },
    }),
    close: async () => {
      isClosed = true
      if (firstTry) close()
    },
  }
}
