import { createRequire } from 'node:module'
import { ConfigError, describeValue, SessionError } from '../errors.js'
import { bindClient, type RedisClient, type RedisCommands } from './redis-client.js'

/** Where Redis is, for a connection of the backend's own. Nothing is connected before the first session is read. */
export interface RedisConnection {
  /** Default `localhost`. */
  host?: string
  /** Default 6379. */
  port?: number
  /** The number of the database. Default 0. */
  db?: number
  username?: string
  password?: string
  /** `true`, or options for `tls.connect`, for example `{ ca }`. */
  tls?: boolean | object
  /** All of the above in one: `redis://user:password@host:6379/0`, `rediss:` for TLS. */
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
export function connectRedis(connection: RedisConnection): RedisCommands {
  const target = checkConnection(connection)
  const { name, module } = requireClient()
  return name === '@redis/client' || name === 'redis'
    ? connectNodeRedis(module, target)
    : connectIoredis(module, target)
}

interface Target {
  host: string
  port: number
  db: number
  username: string | undefined
  password: string | undefined
  tls: boolean | object
}

function checkConnection(connection: RedisConnection): Target {
  const { url, ...rest } = connection
  const problems: string[] = []
  const known = ['host', 'port', 'db', 'username', 'password', 'tls']
  for (const name of Object.keys(rest)) if (!known.includes(name)) problems.push(`${name} is not an option`)
  const alsoGiven = known.filter((name) => rest[name as keyof typeof rest] !== undefined)
  if (url !== undefined && alsoGiven.length > 0) problems.push(`url says it all: leave out ${alsoGiven.join(', ')}`)
  const {
    host = 'localhost',
    port = 6379,
    db = 0,
    username,
    password,
    tls = false,
  } = url === undefined ? rest : parseUrl(url)
  if (typeof host !== 'string' || host === '') problems.push('host must be a host name or an address')
  if (!isWholeNumber(port, 1, 65_535))
    problems.push(`port must be a whole number from 1 to 65535, not ${describeValue(port)}`)
  if (!isWholeNumber(db, 0, 1_000_000)) problems.push(`db must be a whole number from 0, not ${describeValue(db)}`)
  if (problems.length > 0) throw new ConfigError('redis', problems)
  return { host, port, db, username, password, tls }
}

function parseUrl(text: string): Partial<Target> {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const path = /^\/?(\d*)$/.exec(url?.pathname ?? '')
  if (!url || !path || !['redis:', 'rediss:'].includes(url.protocol)) {
    throw new ConfigError('redis', ['url must look like redis://user:password@host:6379/0'])
  }
  return {
    ...(url.hostname && { host: url.hostname.replace(/^\[(.*)\]$/, '$1') }),
    ...(url.port && { port: Number(url.port) }),
    db: Number(path[1] ?? 0),
    username: decodeURIComponent(url.username) || undefined,
    password: decodeURIComponent(url.password) || undefined,
    tls: url.protocol === 'rediss:',
  }
}

/** The clients are CommonJS, and required: a missing one is then known at start, and not by the first visitor. */
function requireClient(): { name: (typeof CLIENT_PACKAGES)[number]; module: object } {
  const require = createRequire(import.meta.url)
  for (const name of CLIENT_PACKAGES) {
    try {
      return { name, module: require(name) as object }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  throw new SessionError(
    'ERR_CLIENT_MISSING',
    `redis() needs a Redis client: npm install ${CLIENT_PACKAGES[0]} (or ioredis, or iovalkey), or pass your own as { client }`,
  )
}

function connectNodeRedis(module: object, { host, port, db, username, password, tls }: Target): RedisCommands {
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
  return connectFirst(
    bindClient(client),
    client,
    () => client.connect(),
    () => client.destroy(),
  )
}

interface NodeRedisConnection extends Listenable {
  connect(): Promise<unknown>
  destroy(): void
}

function connectIoredis(module: object, { host, port, db, username, password, tls }: Target): RedisCommands {
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
  return connectFirst(
    bindClient(client),
    client,
    () => client.connect(),
    () => client.disconnect(),
  )
}

interface IoredisConnection extends Listenable {
  connect(): Promise<unknown>
  disconnect(): void
}

interface Listenable {
  on(event: 'error', listener: () => void): unknown
}

function connectFirst(
  commands: RedisCommands,
  client: Listenable,
  connect: () => Promise<unknown>,
  close: () => void,
): RedisCommands {
  // Without a listener a lost connection would end the process. Whoever has a command under way learns of it.
  client.on('error', () => undefined)
  let connecting: Promise<unknown> | undefined
  // ioredis rejects if the server is down at the first try, and goes on trying by itself.
  const connected = (): Promise<unknown> => (connecting ??= connect().catch(() => undefined))
  return {
    get: async (key) => {
      await connected()
      return commands.get(key)
    },
    del: async (key) => {
      await connected()
      return commands.del(key)
    },
    run: async (script, key, args) => {
      await connected()
      return commands.run(script, key, args)
    },
    close: async () => {
      if (connecting) close()
    },
  }
}

function isWholeNumber(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
}
