import type { Entry, PlainBackend } from '../backend.js'
import { ITEM_OVERHEAD_BYTES, type MemcachedClient } from '../memcached-client/index.js'
import { expiryOf } from './memcached-entries.js'
import { explained } from './memcached-errors.js'

/** Of the Python library's session ids, before the prefix. */
const KEY_LENGTH = 32

/** Records in Memcached as another library writes them: bare, under a bare key, with flags 0. The CAS id is the version. */
export class PlainMemcachedBackend implements PlainBackend {
  readonly layout = 'plain' as const
  readonly maxBytes: number
  readonly #client: MemcachedClient
  readonly #prefix: string

  constructor(client: MemcachedClient, { prefix, maxItemBytes }: { prefix: string; maxItemBytes: number }) {
    this.maxBytes = maxItemBytes - ITEM_OVERHEAD_BYTES - prefix.length - KEY_LENGTH
    this.#client = client
    this.#prefix = prefix
  }

  async read(key: string): Promise<Entry | undefined> {
    const found = await this.#client.get(this.#prefix + key).catch(explain)
    return found && { value: found.value, version: found.cas }
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const outcome = await this.#client.add(this.#prefix + key, value, expiryOf(deadline, now)).catch(explain)
    return outcome === 'exists' ? outcome : { value, version: outcome.cas }
  }

  async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const outcome = await this.#client
      .compareAndSet(this.#prefix + key, value, expiryOf(deadline, now), entry.version as string)
      .catch(explain)
    return typeof outcome === 'string' ? outcome : { value, version: outcome.cas }
  }

  async delete(key: string, entry: Entry): Promise<'deleted' | 'conflict' | 'gone'> {
    return this.#client.compareAndDelete(this.#prefix + key, entry.version as string).catch(explain)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}

function explain(error: unknown): never {
  throw explained(error)
}
