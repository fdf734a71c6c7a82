import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Entry, PlainBackend } from '../backend.js'
import type { AppEngineMemcacheCommands } from './app-engine-memcache-commands.js'
import { expiryOf } from './memcached-entries.js'

/**
 * Records in App Engine's memcache as another library writes them: bare, under a bare key. The version is a digest of the
 * bytes, since writes don't tell their CAS id; the CAS id makes sure that nobody writes between our look and our write.
 */
export class PlainAppEngineMemcacheBackend implements PlainBackend {
  readonly layout = 'plain' as const
  readonly maxBytes: number
  readonly #commands: AppEngineMemcacheCommands

  constructor(commands: AppEngineMemcacheCommands, maxBytes: number) {
    this.#commands = commands
    this.maxBytes = maxBytes
  }

  async read(key: string): Promise<Entry | undefined> {
    const found = await this.#commands.get(key)
    return found && entryOf(found.value)
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const entry = entryOf(value)
    const outcome = await this.#commands.add(key, value, expiryOf(deadline, now))
    return outcome === 'exists' ? outcome : entry
  }

  async replace(
    key: string,
    { version }: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const [entry, bytes] = [entryOf(value), Buffer.from(value)]
    const cas = await this.#casOf(key, version)
    if (cas === 'conflict' || cas === 'gone') return cas
    const outcome = await this.#commands.compareAndSet(key, bytes, expiryOf(deadline, now), cas)
    return typeof outcome === 'string' ? outcome : entry
  }

  async delete(key: string, { version }: Entry): Promise<'deleted' | 'conflict' | 'gone'> {
    const cas = await this.#casOf(key, version)
    return cas === 'conflict' || cas === 'gone' ? cas : this.#commands.compareAndDelete(key, cas)
  }

  async close(): Promise<void> {
    await this.#commands.close()
  }

  /** The CAS id of exactly this version. */
  async #casOf(key: string, version: Entry['version']): Promise<string> {
    const found = await this.#commands.get(key)
    if (!found) return 'gone'
    return digestOf(found.value) === version ? found.cas : 'conflict'
  }
}

function entryOf(value: Uint8Array): Entry {
  return { value, version: digestOf(value) }
}

function digestOf(value: Uint8Array): string {
  return createHash('sha1').update(value).digest('hex')
}
