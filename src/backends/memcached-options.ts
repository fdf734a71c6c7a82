import { ConfigError, describeValue, isHost, isWholeNumber, unknownOptions } from '../errors.js'

/** One of several servers. */
export interface MemcachedAddress {
  host: string
  /** Default 11211. */
  port?: number
}

/** Where Memcached is, and how it is used. Nothing is connected before the first session is read. */
export interface MemcachedOptions {
  /** Default `localhost`. */
  host?: string
  /** Default 11211. */
  port?: number
  /**
   * Several servers, in place of `host` and `port`. Each session lives on one of them, which libmemcached's weighted ketama
   * ring tells: so every application server has to write the same names. A server that is down is an error for its share
   * of the visitors; nobody is moved to another.
   */
  servers?: readonly MemcachedAddress[]
  /** `true`, or options for `tls.connect`, for example `{ ca }`. */
  tls?: boolean | object
  /** For a server with `-Y`. Default: none. */
  username?: string
  /** For a server with `-Y`. Default: none. */
  password?: string
  /** Put in front of every key: up to 100 of the characters from `!` to `~`. Default `vishnu:`. */
  prefix?: string
  /** Milliseconds that a command may take, connecting included. Default 1000. */
  timeout?: number
  /**
   * What the servers were told by `-I`, in bytes: the most that a session can have, with its key and Memcached's own bytes.
   * Default 1,048,576, which is Memcached's. More than the servers take is dangerous: memcached drops what it holds under a
   * key when it refuses a longer value for it.
   */
  maxItemBytes?: number
}

/** The options after checking: complete. */
export interface MemcachedTarget {
  readonly servers: readonly Required<MemcachedAddress>[]
  readonly tls?: object
  readonly username?: string
  readonly password?: string
  readonly prefix: string
  readonly timeout: number
  readonly maxItemBytes: number
}

const DEFAULT_PORT = 11_211
const PREFIX = /^[\x21-\x7e]{0,100}$/
const MEBIBYTE = 1024 * 1024

const OPTIONS = ['host', 'port', 'servers', 'tls', 'username', 'password', 'prefix', 'timeout', 'maxItemBytes']

/** @throws `ERR_CONFIG` with everything that is wrong. */
export function checkMemcachedOptions(
  factory: string,
  options: MemcachedOptions,
  unsupported: readonly string[] = [],
): MemcachedTarget {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const supported = OPTIONS.filter((name) => !unsupported.includes(name))
  const problems = unknownOptions(given, supported)
  const must = (name: string, rule: string, value: unknown): void =>
    void problems.push(`${name} must be ${rule}, not ${describeValue(value)}`)

  const { host = 'localhost', port = DEFAULT_PORT, servers = [{ host, port }], tls = false } = given as MemcachedOptions
  const { username, password, prefix = 'vishnu:', timeout = 1000, maxItemBytes = MEBIBYTE } = given as MemcachedOptions
  if (given['servers'] !== undefined && (given['host'] ?? given['port']) !== undefined) {
    problems.push('servers says it all: leave out host and port')
  }
  const list: unknown[] = Array.isArray(servers) ? servers : []
  if (list.length === 0) must('servers', 'a list of { host, port }', servers)
  const isOne = given['servers'] === undefined
  const addresses = list.map((server, index) => {
    const label = isOne ? '' : `servers[${index}].`
    const { host: name, port: number = DEFAULT_PORT } = Object(server) as Partial<MemcachedAddress>
    if (!isHost(name)) must(`${label}host`, 'a host name or an address', name)
    if (!isWholeNumber(number, 1, 65_535)) must(`${label}port`, 'a whole number from 1 to 65535', number)
    return { host: String(name), port: number }
  })
  const names = addresses.map(({ host: name, port: number }) => `${name}:${number}`)
  if (new Set(names).size < names.length) problems.push('servers names one of them twice')

  if (typeof tls !== 'boolean' && (typeof tls !== 'object' || tls === null)) must('tls', 'true or an object', tls)
  if (typeof (username ?? '') !== 'string') must('username', 'a string', username)
  // Not shown: it may be a real one, of the wrong type.
  if (typeof (password ?? '') !== 'string') problems.push('password must be a string')
  if ((username === undefined) !== (password === undefined)) problems.push('username and password need each other')
  if (typeof prefix !== 'string' || !PREFIX.test(prefix)) {
    must('prefix', 'a string of up to 100 printable ASCII characters and no space', prefix)
  }
  if (!isWholeNumber(timeout, 1, 600_000)) must('timeout', 'a whole number of milliseconds from 1 to 600000', timeout)
  if (!isWholeNumber(maxItemBytes, 1024, 1024 * MEBIBYTE)) {
    must('maxItemBytes', 'a whole number of bytes from 1024 to 1073741824', maxItemBytes)
  }
  if (problems.length > 0) throw new ConfigError(factory, problems)
  return {
    servers: addresses,
    ...(tls !== false && { tls: tls === true ? {} : tls }),
    ...(username !== undefined && password !== undefined && { username, password }),
    prefix,
    timeout,
    maxItemBytes,
  }
}
