import { randomBytes } from 'node:crypto'
import { type Backend, type Entry, SessionError, type SessionsOptions } from '../../src/index.js'
import type { TestedSession, TestedSessions } from '../../src/testing/index.js'

/*
 * Another core, as small as can be: a record is JSON, a cookie is an id, and every write reads first. It keeps the rules of
 * a history, which shows that they are not about our core, and it is what the broken ones are made of.
 */

export interface SimpleRecord {
  readonly publicId: string
  readonly timeout: number
  readonly values: Readonly<Record<string, unknown>>
  /** Logged out, or moved to another key. */
  readonly ended?: { readonly successor?: string }
}

export interface Found {
  readonly entry: Entry
  readonly record: SimpleRecord
}

export type Change = (record: SimpleRecord) => SimpleRecord

const TOMBSTONE_MS = 300_000

export class SimpleCore implements TestedSessions {
  readonly options: SessionsOptions
  readonly backend: Backend

  constructor(options: SessionsOptions) {
    this.options = options
    this.backend = options.backend as Backend
  }

  open(cookieHeader: string | undefined): SimpleVisit {
    return new SimpleVisit(this, cookieHeader?.split('=')[1])
  }

  async commit(visit: object): Promise<{ append: [string, string][] }> {
    const line = await (visit as SimpleVisit).commit()
    return { append: line === undefined ? [] : [['set-cookie', line]] }
  }

  now(): number {
    return this.options.clock?.() ?? Date.now()
  }

  newId(): string {
    return randomBytes(32).toString('base64url')
  }

  deadline(record: SimpleRecord): number {
    return this.now() + (record.timeout || 86_400) * 1000
  }

  async load(id: string): Promise<Found | undefined> {
    const entry = await this.attempt(() => this.backend.read(id, this.now()))
    return entry && { entry, record: JSON.parse(Buffer.from(entry.value).toString()) as SimpleRecord }
  }

  async create(record: SimpleRecord): Promise<string> {
    const id = this.newId()
    await this.attempt(() => this.backend.create(id, bytesOf(record), this.deadline(record), this.now()))
    return id
  }

  /** On top of whatever is there; undefined if the session has ended. */
  async change(id: string, change: Change, _loaded?: SimpleRecord): Promise<SimpleRecord | undefined> {
    for (;;) {
      const found = await this.load(id)
      if (!found || found.record.ended) return undefined
      const record = change(found.record)
      const outcome = await this.replace(id, found, record, this.deadline(record))
      if (outcome === 'gone') return undefined
      if (outcome !== 'conflict') return record
    }
  }

  async end(id: string, successor?: string): Promise<boolean> {
    for (;;) {
      const found = await this.load(id)
      if (!found) return false
      const { ended } = found.record
      if (ended) return successor === undefined && ended.successor !== undefined ? this.end(ended.successor) : false
      const record = { ...found.record, values: {}, ended: successor === undefined ? {} : { successor } }
      const outcome = await this.replace(id, found, record, this.now() + TOMBSTONE_MS)
      if (outcome === 'gone') return false
      if (outcome !== 'conflict') return true
    }
  }

  /** Nobody holds the new id until the old one has ended: what was stored under the old one meanwhile is taken along. */
  async rotate(id: string, change: Change): Promise<string | undefined> {
    for (;;) {
      const found = await this.load(id)
      if (!found || found.record.ended) return undefined
      const successor = await this.create(change(found.record))
      const ended = { ...found.record, values: {}, ended: { successor } }
      const outcome = await this.replace(id, found, ended, this.now() + TOMBSTONE_MS)
      if (typeof outcome === 'object') return successor
      if (outcome === 'gone') return undefined
    }
  }

  replace(id: string, { entry }: Found, record: SimpleRecord, deadline: number): Promise<Entry | 'conflict' | 'gone'> {
    return this.attempt(() => this.backend.replace(id, entry, bytesOf(record), deadline, this.now()))
  }

  async attempt<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (cause) {
      throw new SessionError('ERR_BACKEND', 'The backend failed', { cause })
    }
  }

  /** What a response does for a request whose session is not there, or no longer. */
  cookieForNoSession(): string | undefined {
    return undefined
  }

  /** The id of a session that begins. `presented` is what the cookie said. */
  async begin(record: SimpleRecord, _presented: string | undefined): Promise<string> {
    return this.create(record)
  }

  /** What becomes of a save whose session has ended. */
  async saveLate(_visit: SimpleVisit): Promise<'gone' | 'stored'> {
    return 'gone'
  }

  apply(record: SimpleRecord, changes: ReadonlyMap<string, unknown>, _loaded: SimpleRecord): SimpleRecord {
    const values = { ...record.values, ...Object.fromEntries(changes) }
    return { ...record, values: Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) }
  }

  async update(id: string, key: string, change: (current: unknown) => unknown): Promise<SimpleRecord | undefined> {
    return this.change(id, (record) => ({ ...record, values: { ...record.values, [key]: change(record.values[key]) } }))
  }

  /** A request that only reads. */
  async touch(id: string, record: SimpleRecord): Promise<void> {
    const found = await this.load(id)
    if (!found || found.record.ended) return
    await this.attempt(() => this.backend.touch(id, found.entry, this.deadline(record), this.now()))
  }
}

export class SimpleVisit implements TestedSession {
  readonly core: SimpleCore
  readonly presented: string | undefined
  id: string | undefined
  loaded: SimpleRecord | undefined
  isGone = false
  #changes = new Map<string, unknown>()
  #timeout: number | undefined
  #rotation = false
  #cookie: 'set' | 'cleared' | undefined
  #own = newPublicId()

  constructor(core: SimpleCore, presented: string | undefined) {
    this.core = core
    this.presented = presented
  }

  async session(): Promise<this> {
    const found = this.presented === undefined ? undefined : await this.core.load(this.presented)
    if (found?.record.ended) this.isGone = true
    else if (found) this.hold(this.presented, found.record)
    return this
  }

  hold(id: string | undefined, record: SimpleRecord): void {
    this.id = id
    this.loaded = record
  }

  get started(): boolean {
    return this.id !== undefined
  }

  get publicId(): string {
    return this.loaded?.publicId ?? this.#own
  }

  get timeout(): number {
    return this.#timeout ?? this.loaded?.timeout ?? this.core.options.timeout ?? 0
  }

  set timeout(seconds: number) {
    this.#timeout = seconds
  }

  get(key: string): unknown {
    return this.#changes.has(key) ? this.#changes.get(key) : this.loaded?.values[key]
  }

  set(key: string, value: unknown): void {
    this.#changes.set(key, value)
  }

  delete(key: string): void {
    this.#changes.set(key, undefined)
  }

  clear(): void {
    for (const key of ['a', 'b', 'c', 'count']) this.delete(key)
  }

  entries(): [string, unknown][] {
    return ['a', 'b', 'c', 'count'].map((key) => [key, this.get(key)])
  }

  regenerate(): void {
    if (this.isGone) this.#own = newPublicId()
    this.isGone = false
    this.#rotation = true
  }

  async update(key: string, change: (current: unknown) => unknown): Promise<unknown> {
    if (this.#rotation && this.started && (await this.#store(new Map())) === 'gone') throw goneError()
    if (this.isGone) throw goneError()
    const isCleared = this.#changes.has(key)
    const apply = (current: unknown): unknown => change(isCleared ? undefined : current)
    if (this.id === undefined) await this.#begin({ [key]: apply(undefined) })
    else {
      const record = await this.core.update(this.id, key, apply)
      if (!record) {
        this.#lose()
        throw goneError()
      }
      this.loaded = record
    }
    this.#changes.delete(key)
    return this.get(key)
  }

  async save(): Promise<void> {
    if ((await this.#store(this.#changes)) === 'gone' && (await this.core.saveLate(this)) === 'gone') throw goneError()
  }

  async terminate(): Promise<void> {
    const id = this.id ?? this.presented
    if (id !== undefined) await this.core.end(id)
    this.#lose()
    this.isGone = false
    this.#own = newPublicId()
    this.#changes.clear()
    this.#timeout = undefined
    this.#rotation = false
    this.#cookie = 'cleared'
  }

  async commit(): Promise<string | undefined> {
    const toStore = this.core.options.autoSave ? this.#changes : new Map<string, unknown>()
    const hasTimeout = this.core.options.autoSave === true && this.#timeout !== undefined
    if (toStore.size > 0 || this.#rotation || hasTimeout) {
      const outcome = await this.#store(toStore)
      if (outcome === 'gone' && (await this.core.saveLate(this)) === 'gone') {
        this.core.options.onEvent?.({ type: 'gone', message: '' })
      }
    } else if (this.id !== undefined && this.loaded) await this.core.touch(this.id, this.loaded)
    if (this.#cookie === 'set' && this.id !== undefined) return `sid=${this.id}`
    if (this.#cookie === 'cleared' && this.presented !== undefined) return 'sid=; Max-Age=0'
    return this.id === undefined ? this.core.cookieForNoSession() : undefined
  }

  async #store(changes: Map<string, unknown>): Promise<'gone' | 'stored'> {
    if (this.isGone) return 'gone'
    const loaded = this.loaded
    if (this.id === undefined || !loaded) {
      const values = Object.fromEntries([...changes].filter(([, value]) => value !== undefined))
      if (Object.keys(values).length > 0) await this.#begin(values)
    } else {
      const apply: Change = (record) => ({
        ...this.core.apply(record, changes, loaded),
        timeout: this.#timeout ?? record.timeout,
      })
      if (this.#rotation) {
        const successor = await this.core.rotate(this.id, apply)
        const found = successor === undefined ? undefined : await this.core.load(successor)
        if (!found || found.record.ended) return this.#lose()
        this.#rotation = false
        this.issue(successor, found.record)
      } else {
        const record = await this.core.change(this.id, apply, loaded)
        if (!record) return this.#lose()
        this.loaded = record
      }
    }
    if (this.started) changes.clear()
    return 'stored'
  }

  async #begin(values: Record<string, unknown>): Promise<void> {
    this.#rotation = false
    const record = { publicId: this.publicId, timeout: this.timeout, values }
    this.issue(await this.core.begin(record, this.presented), record)
  }

  issue(id: string | undefined, record: SimpleRecord): void {
    this.hold(id, record)
    this.#cookie = 'set'
  }

  #lose(): 'gone' {
    this.id = this.loaded = undefined
    this.isGone = true
    if (this.#cookie === 'set') this.#cookie = undefined
    return 'gone'
  }

  /** What this request has changed and not stored. */
  get changes(): ReadonlyMap<string, unknown> {
    return this.#changes
  }
}

export function bytesOf(record: SimpleRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record))
}

function newPublicId(): string {
  return randomBytes(9).toString('base64url')
}

function goneError(): SessionError {
  return new SessionError('ERR_SESSION_GONE', 'The session has ended')
}
