import { randomBytes } from 'node:crypto'
import type { Backend, Entry } from '../backend.js'
import { ConfigError, unknownOptions } from '../errors.js'
import type { SessionMessage, SessionOutcome } from './durable-object-session.js'

export { SessionObject, type SessionObjectState } from './durable-object-session.js'

/** What is used of a binding to Durable Objects (`DurableObjectNamespace` of Cloudflare's types). */
export interface DurableObjectBinding {
  idFromName(name: string): unknown
  get(id: unknown): { fetch(url: string, init: { method: string; body: Uint8Array }): Promise<DurableObjectAnswer> }
}

/** The part of a `Response` that is used. */
export interface DurableObjectAnswer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  arrayBuffer(): Promise<ArrayBuffer>
  text(): Promise<string>
}

/** Which objects. */
export interface DurableObjectOptions {
  /** The binding, such as `env.SESSIONS`, or its `jurisdiction('eu')`. Its class is `SessionObject`, with SQLite storage. */
  namespace: DurableObjectBinding
}

/** Cloudflare takes 2 MB, our few words about the value included. */
const MAX_VALUE_BYTES = 1_900_000

/**
 * Sessions in Cloudflare's Durable Objects, for Workers. Export `SessionObject` from the worker too.
 *
 * Each session has an object of its own: none waits for another's, each is made near its visitor and removes itself when
 * it has expired, and there is no number of shards that could never be changed again.
 *
 * @throws `ERR_CONFIG` for wrong options, such as a binding that wrangler's configuration does not declare.
 */
export function durableObject(options: DurableObjectOptions): Backend {
  const { namespace } = { ...options }
  const problems = unknownOptions({ ...options }, ['namespace'])
  const isBinding = typeof (namespace as Partial<DurableObjectBinding> | undefined)?.idFromName === 'function'
  if (!isBinding) problems.push('namespace must be a binding: declare it under durable_objects in the configuration')
  if (problems.length > 0) throw new ConfigError('durableObject', problems)
  return new DurableObjectBackend(namespace)
}

class DurableObjectBackend implements Backend {
  readonly maxBytes = MAX_VALUE_BYTES
  readonly #namespace: DurableObjectBinding

  constructor(namespace: DurableObjectBinding) {
    this.#namespace = namespace
  }

  async read(key: string, now: number): Promise<Entry | undefined> {
    const answer = await this.#ask(key, { operation: 'read', now })
    const version = answer.headers.get('version')
    if (version === null) return undefined
    const value = new Uint8Array(await answer.arrayBuffer())
    return { value, version, deadline: Number(answer.headers.get('deadline')) }
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const version = newVersion()
    const outcome = await this.#write(key, { operation: 'create', expected: null, version, deadline, now }, value)
    return outcome === 'done' ? { value, version, deadline } : 'exists'
  }

  async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const version = newVersion()
    const expected = entry.version as string
    const outcome = await this.#write(key, { operation: 'replace', expected, version, deadline, now }, value)
    return outcome === 'done' ? { value, version, deadline } : outcome
  }

  async touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    const outcome = await this.#write(key, { operation: 'touch', expected: entry.version as string, deadline, now })
    return outcome === 'done' ? 'touched' : outcome
  }

  async delete(key: string): Promise<void> {
    await this.#write(key, { operation: 'delete' })
  }

  async #write(key: string, message: SessionMessage, value?: Uint8Array): Promise<SessionOutcome> {
    const answer = await this.#ask(key, message, value)
    return (await answer.text()) as SessionOutcome
  }

  async #ask(key: string, message: SessionMessage, body: Uint8Array = new Uint8Array()): Promise<DurableObjectAnswer> {
    // A stub belongs to the request that got it, and is of no use after an error: none is kept.
    const object = this.#namespace.get(this.#namespace.idFromName(key))
    const query = encodeURIComponent(JSON.stringify(message))
    const answer = await object.fetch(`https://session/?${query}`, { method: 'POST', body })
    if (answer.status !== 200) throw new Error(`The Durable Object of a session answered ${answer.status}`)
    return answer
  }
}

function newVersion(): string {
  return randomBytes(12).toString('base64url')
}
