import { performance } from 'node:perf_hooks'
import { addressOf, Connection, type ConnectionSettings } from './connection.js'
import { MemcachedError } from './errors.js'
import type { Command, Reply } from './meta-protocol.js'

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1000

/**
 * The way to one server: a connection, made when it is needed. After one that brought no answer, commands are rejected at
 * once for 50 ms, then 100, 200 and so on up to a second, so that a server that is down costs its callers no time.
 */
export class ServerLink {
  readonly #settings: ConnectionSettings
  #connection: Connection | undefined
  #failures = 0
  #nextAttempt = 0

  constructor(settings: ConnectionSettings) {
    this.#settings = settings
  }

  send(command: Command): Promise<Reply> {
    this.#connection ??= this.#connect()
    return this.#connection.send(command)
  }

  async close(): Promise<void> {
    await this.#connection?.close()
  }

  #connect(): Connection {
    if (performance.now() < this.#nextAttempt) {
      const address = addressOf(this.#settings)
      throw new MemcachedError('UNAVAILABLE', `memcached ${address} failed just now and is not asked again yet`)
    }
    const connection = new Connection(this.#settings, () => {
      this.#connection = undefined
      this.#failures = connection.hasAnswered ? 0 : this.#failures + 1
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** (this.#failures - 1), LONGEST_PAUSE_MS)
      this.#nextAttempt = this.#failures === 0 ? 0 : performance.now() + pause
    })
    return connection
  }
}
