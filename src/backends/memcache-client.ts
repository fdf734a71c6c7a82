import { Buffer } from 'node:buffer'
import { createRequire } from 'node:module'
import type { MemcacheClient } from 'memcache-client'
import type { Backend } from '../backend.js'
import { ConfigError, isMissingPackage, SessionError } from '../errors.js'
import { assertKey, ITEM_OVERHEAD_BYTES, MemcachedError, Ring } from '../memcached-client/index.js'
import { guarded, REFUSALS, strange } from './memcache-client-guard.js'
import { MemcachedBackend, type MemcachedCommands } from './memcached-entries.js'
import { withSessionErrors } from './memcached-errors.js'
import { checkMemcachedOptions, type MemcachedOptions, type MemcachedTarget } from './memcached-options.js'

/** As for `memcached()`, but for what this client can't do: user names and passwords, and IPv6 addresses. */
export type MemcacheClientOptions = Omit<MemcachedOptions, 'username' | 'password'>

/**
 * Sessions in Memcached over the package `memcache-client`, for servers older than 1.6.10 too. Without options:
 * `localhost:11211`. Otherwise as `memcached()` of `vishnu/backends/memcached`, which is faster and needs no package.
 *
 * @throws `ERR_CONFIG` for wrong options, `ERR_CLIENT_MISSING` if the package is not installed.
 */
export function memcacheClient(options: MemcacheClientOptions = {}): Backend {
  const target = checkMemcachedOptions('memcacheClient', options, ['username', 'password'])
  if (target.servers.some(({ host }) => host.includes(':'))) {
    throw new ConfigError('memcacheClient', ['host must not be an IPv6 address: use its name, or memcached()'])
  }
  const { prefix, maxItemBytes } = target
  const commands = withSessionErrors(new MemcacheClientCommands(target))
  return new MemcachedBackend(commands, prefix, maxItemBytes - ITEM_OVERHEAD_BYTES)
}

/**
 * One client for each server: one client of several picks any of them for each command. Keys are checked here, since the
 * client checks none: a line end in a key would let its author send commands.
 */
class MemcacheClientCommands implements MemcachedCommands {
  readonly #ring: Ring
  readonly #clients: readonly MemcacheClient[]
  readonly #timeout: number
  #isClosed = false

  constructor({ servers, tls, timeout }: MemcachedTarget) {
    const { MemcacheClient } = requireClient()
    this.#timeout = timeout
    this.#ring = new Ring(servers)
    this.#clients = servers.map(({ host, port }) => {
      const limits = { cmdTimeout: timeout, connectTimeout: timeout, noDelay: true }
      return guarded(new MemcacheClient({ server: `${host}:${port}`, ...limits, ...(tls && { tls }) }))
    })
  }

  async get(key: string): Promise<{ value: Uint8Array; cas: string } | undefined> {
    // Not its `gets`, which takes every reply without a value for our key for an absent one.
    return this.#send(
      key,
      (client) => client.xsend(`gets ${key}\r\n`),
      (reply) => {
        const [[name, item] = [], ...more] = Object.entries(reply as Record<string, { value: Buffer; casUniq: string }>)
        if (item === undefined) return undefined
        if (name !== key || more.length > 0) throw strange()
        if (item.casUniq === '0')
          throw new MemcachedError('SERVER', 'memcached names no versions: was it started with -C?')
        return { value: item.value, cas: item.casUniq }
      },
    )
  }

  async add(key: string, value: Uint8Array, lifetime: number): Promise<object | 'exists'> {
    const meanings = { STORED: {}, NOT_STORED: 'exists' } as const
    return this.#send(key, (client) => client.add(key, asBuffer(value), { lifetime }), meaningIn(meanings))
  }

  async compareAndSet(
    key: string,
    value: Uint8Array,
    lifetime: number,
    casUniq: string,
  ): Promise<object | 'conflict' | 'gone'> {
    const meanings = { STORED: {}, EXISTS: 'conflict', NOT_FOUND: 'gone' } as const
    return this.#send(key, (client) => client.cas(key, asBuffer(value), { lifetime, casUniq }), meaningIn(meanings))
  }

  async delete(key: string): Promise<void> {
    await this.#send(key, (client) => client.delete(key), meaningIn({ DELETED: true, NOT_FOUND: true }))
  }

  async close(): Promise<void> {
    // It would connect again for a command after its shutdown.
    this.#isClosed = true
    for (const client of this.#clients) client.shutdown()
  }

  async #send<T>(
    key: string,
    command: (client: MemcacheClient) => Promise<unknown>,
    understand: (reply: unknown) => T,
  ): Promise<T> {
    assertKey(key)
    if (this.#isClosed) throw new MemcachedError('CLOSED', 'The client was closed')
    const client = this.#clients[this.#ring.indexOf(key)] as MemcacheClient
    try {
      return understand(await within(this.#timeout, command(client).catch(refusalOf)))
    } catch (error) {
      // Replies are out of step from here on. The next command makes a new connection.
      if (error instanceof MemcachedError && error.code === 'PROTOCOL') client.shutdown()
      throw error
    }
  }
}

/** The server's no, which this client throws as it throws everything. */
function refusalOf(error: Error & { cmdTokens?: string[] }): string[] {
  const { cmdTokens } = error
  if (cmdTokens && REFUSALS.includes(cmdTokens[0] ?? '')) return cmdTokens
  if (!error.message.includes('object too large')) throw error
  throw new MemcachedError('TOO_LARGE', error.message, { cause: error })
}

/** Reads replies of one word. */
function meaningIn<T>(meanings: Readonly<Record<string, T>>): (reply: unknown) => T {
  return (reply) => {
    const meaning = Array.isArray(reply) ? meanings[String(reply[0])] : undefined
    if (meaning === undefined) throw strange()
    return meaning
  }
}

/** Some calls this client never answers: those that wait for a connection when it is shut down, for one. */
function within<T>(milliseconds: number, reply: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void =>
      reject(
        new MemcachedError('TIMEOUT', `memcached did not answer within ${milliseconds} ms`, { outcomeUnknown: true }),
      )
    const timer = setTimeout(late, milliseconds)
    void reply.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

function asBuffer(value: Uint8Array): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

interface Package {
  MemcacheClient: typeof MemcacheClient
}

function requireClient(): Package {
  try {
    return createRequire(import.meta.url)('memcache-client') as Package
  } catch (error) {
    if (!isMissingPackage(error, 'memcache-client')) throw error
    throw new SessionError(
      'ERR_CLIENT_MISSING',
      'memcacheClient() needs its package: npm install memcache-client (memcached() needs none)',
    )
  }
}
