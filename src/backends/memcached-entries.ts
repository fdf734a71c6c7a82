import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { Backend, Entry } from '../backend.js'

/** The commands of Memcached on which entries are built, whichever client sends them. What is in doubt rejects. */
export interface MemcachedCommands {
  get(key: string): Promise<{ readonly value: Uint8Array; readonly cas: string } | undefined>
  /** Stores where nothing is. */
  add(key: string, value: Uint8Array, expiry: number): Promise<Written | 'exists'>
  /** Stores where nobody has stored since `cas` was read. */
  compareAndSet(key: string, value: Uint8Array, expiry: number, cas: string): Promise<Written | 'conflict' | 'gone'>
  delete(key: string): Promise<void>
  close(): Promise<void>
}

/** The new CAS id, from clients that tell it. */
interface Written {
  readonly cas?: string
}

/*
 * A value is `<22-character token><13-digit deadline>\n` and then the entry. Memcached's own CAS id changes with every
 * write, and a touch is one, which must leave the version valid: so the token names the version, and the CAS id makes
 * sure that nobody writes between our look at the token and our write. A version is both: with the CAS id at hand a
 * replace is one command, and if that is refused a look at the token tells a touch, to be written over, from a newer
 * value. A restarted Memcached counts its CAS ids anew, but then holds no key, and the core creates none a second time.
 */
const TOKEN_LENGTH = 22
const HEAD_LENGTH = TOKEN_LENGTH + 13 + 1
const HEAD = /^[\w-]{22}\d{13}\n$/

/** Of the keys of every backend, before the prefix. */
const KEY_LENGTH = 43

/** How long Memcached keeps what has expired: its clock need not agree with ours, which decides. */
const SLACK_SECONDS = 60
/** Beyond, Memcached takes a time to live for a date: in 1970, and the entry is gone at once. */
const LONGEST_TIME_TO_LIVE = 30 * 86_400
/** A date, unlike a time to live, does depend on the two clocks. */
const SLACK_SECONDS_OF_DATES = 86_400
/** In January 2038. Memcached 1.6 takes later dates for past ones. */
const LAST_DATE = 2 ** 31 - 1
const NEVER = 0

/** More than any number of touches that may come between our look and our write. */
const MAX_ATTEMPTS = 100

/** What is at a key. The deadline of what this backend has not written is infinite, and its token undefined. */
interface Stored {
  readonly token: string | undefined
  readonly deadline: number
  readonly value: Uint8Array
  readonly cas: string
}

/** Sessions in Memcached. */
export class MemcachedBackend implements Backend {
  readonly maxBytes: number
  readonly #commands: MemcachedCommands
  readonly #prefix: string

  /** @param maxItemBytes Of key and value together. */
  constructor(commands: MemcachedCommands, prefix: string, maxItemBytes: number) {
    this.maxBytes = maxItemBytes - prefix.length - KEY_LENGTH - HEAD_LENGTH
    this.#commands = commands
    this.#prefix = prefix
  }

  async read(key: string, now: number): Promise<Entry | undefined> {
    const found = await this.#live(key, now)
    if (!found) return undefined
    const { token, value, cas, deadline } = found
    // Not written by this backend. The core finds out that it is no record and leaves it alone.
    return token === undefined ? { value } : { value, version: token + cas, deadline }
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const token = newToken()
    const bytes = encode(token, deadline, value)
    const expiry = expiryOf(deadline, now)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const added = await this.#commands.add(this.#prefix + key, bytes, expiry)
      if (added !== 'exists') return entryOf(token, added, value, deadline)
      const found = await this.#find(key)
      if (found && found.deadline > now) return 'exists'
      // It has expired, or gone since: one more try in its place, or in nobody's.
      const replaced = found && (await this.#commands.compareAndSet(this.#prefix + key, bytes, expiry, found.cas))
      if (typeof replaced === 'object') return entryOf(token, replaced, value, deadline)
    }
    throw unsettled()
  }

  async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const token = newToken()
    const bytes = encode(token, deadline, value)
    const expiry = expiryOf(deadline, now)
    const [expected, knownCas] = parseVersion(entry)
    // Known to have expired, unless it was touched since.
    let cas = (entry.deadline ?? 0) > now ? knownCas : ''
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (cas !== '') {
        const outcome = await this.#commands.compareAndSet(this.#prefix + key, bytes, expiry, cas)
        if (outcome === 'gone') return 'gone'
        if (outcome !== 'conflict') return entryOf(token, outcome, value, deadline)
      }
      const found = await this.#live(key, now)
      if (found?.token !== expected) return found ? 'conflict' : 'gone'
      cas = found.cas
    }
    throw unsettled()
  }

  async touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    const [expected] = parseVersion(entry)
    const found = await this.#live(key, now)
    if (found?.token !== expected) return found ? 'conflict' : 'gone'
    // The server's bytes, not the caller's: nothing can change by a touch.
    const bytes = encode(expected, deadline, found.value)
    const outcome = await this.#commands.compareAndSet(this.#prefix + key, bytes, expiryOf(deadline, now), found.cas)
    if (outcome === 'gone') return 'gone'
    if (outcome !== 'conflict') return 'touched'
    // If it was another touch that came between, it is as if that one had come right after ours.
    const newer = await this.#live(key, now)
    if (!newer) return 'gone'
    return newer.token === expected ? 'touched' : 'conflict'
  }

  async delete(key: string): Promise<void> {
    await this.#commands.delete(this.#prefix + key)
  }

  async close(): Promise<void> {
    await this.#commands.close()
  }

  async #live(key: string, now: number): Promise<Stored | undefined> {
    const found = await this.#find(key)
    return found && found.deadline > now ? found : undefined
  }

  async #find(key: string): Promise<Stored | undefined> {
    const found = await this.#commands.get(this.#prefix + key)
    if (!found) return undefined
    const { value, cas } = found
    const head = Buffer.from(value.subarray(0, HEAD_LENGTH)).toString('latin1')
    if (!HEAD.test(head)) return { token: undefined, deadline: Infinity, value, cas }
    const [token, deadline] = [head.slice(0, TOKEN_LENGTH), Number(head.slice(TOKEN_LENGTH))]
    return { token, deadline, value: value.subarray(HEAD_LENGTH), cas }
  }
}

function newToken(): string {
  return randomBytes(16).toString('base64url')
}

function encode(token: string, deadline: number, value: Uint8Array): Uint8Array {
  const digits = String(Math.trunc(deadline)).padStart(13, '0')
  return Buffer.concat([Buffer.from(`${token}${digits}\n`), value])
}

function entryOf(token: string, { cas = '' }: Written, value: Uint8Array, deadline: number): Entry {
  return { value, version: token + cas, deadline }
}

/** The token, and the CAS id or the empty string. */
function parseVersion({ version }: Entry): [token: string, cas: string] {
  const text = String(version)
  return [text.slice(0, TOKEN_LENGTH), text.slice(TOKEN_LENGTH)]
}

/** Memcached's `exptime`. The time to live is what counts: `now` may be any time, the server's clock another. */
export function expiryOf(deadline: number, now: number): number {
  const seconds = Math.max(0, Math.ceil((deadline - now) / 1000))
  if (seconds + SLACK_SECONDS <= LONGEST_TIME_TO_LIVE) return seconds + SLACK_SECONDS
  const date = Math.floor(Date.now() / 1000) + seconds + SLACK_SECONDS_OF_DATES
  return date > LAST_DATE ? NEVER : date
}

function unsettled(): Error {
  return new Error(`Memcached told of another state in each of ${MAX_ATTEMPTS} attempts`)
}
