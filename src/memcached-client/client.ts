import { createSecureContext, type ConnectionOptions } from 'node:tls'
import { MemcachedError } from './errors.js'
import { assertKey, isCas, type Command, type Reply } from './meta-protocol.js'
import { Ring, type MemcachedServer } from './ring.js'
import { ServerLink } from './server-link.js'

export interface MemcachedClientOptions {
  /** Every client of them has to list the same hosts and ports: their names decide which server holds which key. */
  servers: readonly MemcachedServer[]
  /** Milliseconds for one command, with connecting where that is needed. Default 1000. */
  timeout?: number
  /** Encrypts, with `tls.connect`'s options where they are needed, such as `ca`. Default false. */
  tls?: boolean | ConnectionOptions
  /** Together with `password`: for a memcached with a password file (`-Y`). */
  username?: string
  password?: string
  /** The largest item that the servers take: their `-I`. Default 1048576, theirs. */
  maxItemBytes?: number
}

/** A value, and the version (memcached's "cas unique") that {@link MemcachedClient.compareAndSet} takes. */
export interface Item {
  value: Uint8Array
  cas: string
}

/** What memcached adds to a key and a value: 48 bytes of header, 8 of version, a NUL and a CRLF, rounded up. */
export const ITEM_OVERHEAD_BYTES = 64

const DEFAULT_ITEM_BYTES = 1024 * 1024
const LATEST_EXPIRY = 2 ** 31 - 1
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1

/**
 * Memcached for data that must not be overwritten blindly: there is no unconditional set, since one that was given up
 * could still land, later, over a newer one. A server that is down rejects; its keys move to no other server.
 *
 * Nothing is connected before the first command. Every method rejects with a {@link MemcachedError}.
 *
 * @throws `ARGUMENT` for wrong options.
 */
export class MemcachedClient {
  readonly #ring: Ring
  readonly #links: readonly ServerLink[]
  readonly #maxItemBytes: number
  #isClosed = false

  constructor(options: MemcachedClientOptions) {
    const { servers, timeout = 1000, tls = false, username, password, maxItemBytes = DEFAULT_ITEM_BYTES } = options
    checkServers(servers)
    checkInteger('timeout', timeout, 1, LONGEST_TIMEOUT_MS)
    checkInteger('maxItemBytes', maxItemBytes, 1024, 1024 ** 3)
    if ((username === undefined) !== (password === undefined)) throw wrong('username and password need each other')
    const settings = {
      timeout,
      ...(tls === false ? {} : { tls: withContext(tls === true ? {} : tls) }),
      ...(username === undefined || password === undefined ? {} : { login: { username, password } }),
    }
    this.#ring = new Ring(servers)
    this.#links = servers.map(({ host, port }) => new ServerLink({ host, port, ...settings }))
    this.#maxItemBytes = maxItemBytes
  }

  /** The value is the caller's to keep, and to change. */
  async get(key: string): Promise<Item | undefined> {
    const { value, cas } = await this.#send({ verb: 'mg', key, flags: 'c v', outcomes: ['VA', 'EN'] })
    return value === undefined || cas === undefined ? undefined : { value, cas }
  }

  /**
   * Stores a value if there is none.
   *
   * @param expiry What memcached calls exptime: 0 for never, up to 30 days (2,592,000) in seconds from now, and above that
   *   seconds since 1970. At most 2,147,483,647.
   */
  async add(key: string, value: Uint8Array, expiry: number): Promise<{ cas: string } | 'exists'> {
    const { status, cas } = await this.#store(key, value, 'ME', expiry, ['HD', 'NS'])
    return status === 'HD' && cas !== undefined ? { cas } : 'exists'
  }

  /** Replaces exactly the version that `cas` names: 'conflict' if there is another, 'gone' if there is none. */
  async compareAndSet(
    key: string,
    value: Uint8Array,
    expiry: number,
    cas: string,
  ): Promise<{ cas: string } | 'conflict' | 'gone'> {
    if (!isCas(cas)) throw wrong('cas must be what get, add or compareAndSet has returned')
    const { status, cas: newCas } = await this.#store(key, value, `C${cas}`, expiry, ['HD', 'EX', 'NF'])
    if (newCas !== undefined && status === 'HD') return { cas: newCas }
    return status === 'EX' ? 'conflict' : 'gone'
  }

  /** Removes whatever is there. */
  async delete(key: string): Promise<void> {
    await this.#send({ verb: 'md', key, flags: '', outcomes: ['HD', 'NF'] })
  }

  /** Removes exactly the version that `cas` names: 'conflict' if there is another, 'gone' if there is none. */
  async compareAndDelete(key: string, cas: string): Promise<'deleted' | 'conflict' | 'gone'> {
    if (!isCas(cas)) throw wrong('cas must be what get, add or compareAndSet has returned')
    const { status } = await this.#send({ verb: 'md', key, flags: `C${cas}`, outcomes: ['HD', 'EX', 'NF'] })
    return status === 'HD' ? 'deleted' : status === 'EX' ? 'conflict' : 'gone'
  }

  /** Waits for the answers to what was sent. Later calls reject. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#links.map((link) => link.close()))
  }

  async #store(
    key: string,
    value: Uint8Array,
    condition: string,
    expiry: number,
    outcomes: readonly string[],
  ): Promise<Reply> {
    if (!(value instanceof Uint8Array)) throw wrong('A value must be a Uint8Array')
    checkInteger('expiry', expiry, 0, LATEST_EXPIRY)
    const command: Command = { verb: 'ms', key, flags: `c ${condition} T${expiry}`, value, outcomes }
    const itemBytes = key.length + value.length + ITEM_OVERHEAD_BYTES
    // memcached refuses it too, and removes what it holds under the key.
    if (itemBytes > this.#maxItemBytes)
      throw new MemcachedError(
        'TOO_LARGE',
        `The item would have ${itemBytes} bytes, and ${this.#maxItemBytes} is the most`,
      )
    return this.#send(command)
  }

  async #send(command: Command): Promise<Reply> {
    assertKey(command.key)
    if (this.#isClosed) throw new MemcachedError('CLOSED', 'The client was closed')
    const link = this.#links[this.#ring.indexOf(command.key)] as ServerLink
    return link.send(command)
  }
}

function checkServers(servers: readonly MemcachedServer[]): void {
  if (!Array.isArray(servers) || servers.length === 0) throw wrong('servers must list at least one { host, port }')
  for (const { host, port } of servers) {
    if (typeof host !== 'string' || host === '') throw wrong('host must be a name or an address')
    checkInteger('port', port, 1, 65_535)
  }
  const names = servers.map(({ host, port }) => `${host}:${port}`)
  if (new Set(names).size < names.length) throw wrong('servers lists a server twice')
}

/** One context for all connections, made now: what is wrong with the options shows at the start. */
function withContext(options: ConnectionOptions): ConnectionOptions {
  try {
    return { secureContext: createSecureContext(options), ...options }
  } catch (error) {
    // Without the error: Node quotes what it can't use, and it may be a passphrase.
    throw wrong(`tls holds options that Node can't use: ${(error as NodeJS.ErrnoException).code}`)
  }
}

function checkInteger(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw wrong(`${name} must be a whole number from ${least} to ${most}`)
}

function wrong(message: string): MemcachedError {
  return new MemcachedError('ARGUMENT', message)
}
