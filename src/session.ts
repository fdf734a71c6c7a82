import { Buffer } from 'node:buffer'
import type { Dialect, RandomSource } from './dialect.js'
import { isTimeout, MAX_TIMEOUT_SECONDS } from './config.js'
import { describeValue, SessionError, SessionTypeError } from './errors.js'
import { Changes, type EncodedValue, type StoredRecord } from './record.js'

/** `session.timeout = TIMEOUT_SESSION`: no timeout; the cookie ends when the browser closes. */
export const TIMEOUT_SESSION = 0

/** The shape of a session's values if `createSessions` is given none. */
export type SessionData = Record<string, unknown>

/** What a session hands out: plain objects and arrays are frozen, collections are copies, and the types say so. */
export type ReadonlyValue<T> = unknown extends T
  ? T
  : T extends Date | ArrayBufferView
    ? T
    : T extends ReadonlyMap<infer K, infer V>
      ? ReadonlyMap<ReadonlyValue<K>, ReadonlyValue<V>>
      : T extends ReadonlySet<infer I>
        ? ReadonlySet<ReadonlyValue<I>>
        : T extends object
          ? { readonly [K in keyof T]: ReadonlyValue<T[K]> }
          : T

type KeyOf<Data> = keyof Data & string

/** What the verbs of a session do; a {@link Session} itself does no I/O. */
export interface SessionVerbs {
  save(): Promise<void>
  update(key: string, change: (current: unknown) => unknown): Promise<unknown>
  terminate(): Promise<void>
}

/** Where a session stands: not stored, stored, or ended by another request while this one runs. */
export type Phase = 'new' | 'live' | 'gone'

const PUBLIC_ID_BYTES = 9

/** What one request has seen and done of a session. Shared by the session the handler holds and the core that stores it. */
export class SessionState {
  phase: Phase = 'new'
  record: StoredRecord | undefined
  readonly changes: Changes = new Changes()
  /** Asked for by `regenerate`, done by the next save or by the commit. */
  rotation: { authenticated: boolean } | undefined
  /** The response's headers are leaving or have left. */
  committed = false
  /** How whoever changes it all the same is told that it is too late. */
  tooLate = "the response's headers were sent. Change the session before the response begins, or use update()"
  readonly #random: RandomSource
  #publicId: string | undefined
  /** What was read from the record: a second read of a key neither searches nor decodes again. */
  #read: Map<string, EncodedValue | undefined> | undefined

  constructor(random: RandomSource) {
    this.#random = random
  }

  get publicId(): string {
    return this.record?.header.publicId ?? (this.#publicId ??= this.#newPublicId())
  }

  #newPublicId(): string {
    return Buffer.from(this.#random(PUBLIC_ID_BYTES)).toString('base64url')
  }

  stored(record: StoredRecord): void {
    this.phase = 'live'
    this.record = record
    this.#read = undefined
  }

  ended(phase: 'new' | 'gone'): void {
    this.phase = phase
    this.record = undefined
    this.#publicId = undefined
    this.#read = undefined
  }

  /** The value as this request sees it: its own changes over what was stored. */
  encoded(key: string): EncodedValue | undefined {
    if (this.changes.covers(key)) return this.changes.encoded(key)
    this.#read ??= new Map()
    if (!this.#read.has(key)) this.#read.set(key, this.record?.values.get(key))
    return this.#read.get(key)
  }

  has(key: string): boolean {
    if (this.changes.covers(key)) return this.changes.encoded(key) !== undefined
    return this.record?.values.has(key) ?? false
  }
}

/**
 * One visitor's values, as one request sees them.
 *
 * Reading never writes. `set`, `delete`, `clear` and `timeout` are recorded and stored when the response begins if
 * `autoSave` is on, else by `save`. Changes are kept by key: two requests that change different keys both win, and of two
 * that change the same key the last to be stored.
 */
export class Session<Data extends object = SessionData> {
  readonly #state: SessionState
  readonly #dialect: Dialect
  readonly #verbs: SessionVerbs
  readonly #defaults: { readonly autoSave: boolean; readonly timeout: number }
  #decoded: Map<string, { encoded: EncodedValue; value: unknown }> | undefined

  /** Made by `sessions.get(req)`. */
  constructor(
    state: SessionState,
    dialect: Dialect,
    verbs: SessionVerbs,
    defaults: { readonly autoSave: boolean; readonly timeout: number },
  ) {
    this.#state = state
    this.#dialect = dialect
    this.#verbs = verbs
    this.#defaults = defaults
  }

  /**
   * The value, or undefined. Objects and arrays are deep-frozen; Date, Map, Set and typed arrays are fresh copies: a change
   * is made with `set` or `update`.
   *
   * @throws `ERR_RECORD` if the stored value can't be read. The other keys still can.
   */
  get<K extends KeyOf<Data>>(key: K): ReadonlyValue<Data[K]> | undefined {
    const encoded = this.#state.encoded(checkKey(key))
    if (encoded === undefined) return undefined
    const known = this.#decoded?.get(key)
    if (known?.encoded === encoded) return known.value as ReadonlyValue<Data[K]>
    const value = this.#dialect.decodeValue(key, encoded)
    if (this.#dialect.isShareable(encoded)) (this.#decoded ??= new Map()).set(key, { encoded, value })
    return value as ReadonlyValue<Data[K]>
  }

  /**
   * Sets a value. It is copied at once: what happens to the object later is not stored.
   *
   * @throws `ERR_VALUE` for what can't be kept exactly: functions, symbols, class instances.
   * @throws `ERR_COMMITTED` once the response's headers were sent.
   */
  set<K extends KeyOf<Data>>(key: K, value: Data[K] | ReadonlyValue<Data[K]>): void {
    this.#assertOpen('set')
    this.#state.changes.set(checkKey(key), this.#dialect.encodeValue(key, value))
  }

  /** Whether there is a value under the key, `undefined` included. */
  has(key: KeyOf<Data>): boolean {
    return this.#state.has(checkKey(key))
  }

  /** Removes a value; returns whether there was one. Throws `ERR_COMMITTED` once the headers were sent. */
  delete(key: KeyOf<Data>): boolean {
    this.#assertOpen('delete')
    const had = this.has(key)
    this.#state.changes.remove(key)
    return had
  }

  /** Removes every value, those included that other requests have stored until this is. The session goes on. */
  clear(): void {
    this.#assertOpen('clear')
    this.#state.changes.clear()
  }

  /** The keys of all values, as this request sees them. */
  keys(): KeyOf<Data>[] {
    const { record, changes } = this.#state
    const keys = new Set([...(record?.values.keys() ?? []), ...changes.byKey.keys()])
    return [...keys].filter((key) => this.#state.has(key)) as KeyOf<Data>[]
  }

  /** Keys and values. Throws `ERR_RECORD` if one of them can't be read: then go through `keys()`. */
  entries(): { [K in KeyOf<Data>]: [K, ReadonlyValue<Data[K]>] }[KeyOf<Data>][] {
    return this.keys().map((key) => [key, this.get(key)]) as ReturnType<this['entries']>
  }

  /**
   * Reads, changes and stores one value in one atomic step, now, whatever `autoSave` says. `change` gets the newest stored
   * value, or undefined, and returns the new one; after a conflict it runs again, so it must be pure and synchronous.
   * Resolves to the new value once it is stored.
   *
   * @throws `ERR_SESSION_GONE` if the session was logged out, rotated or expired meanwhile.
   * @throws `ERR_VALUE` if `change` returns a promise or anything else that can't be stored. Nothing has changed then.
   * @throws `ERR_BACKEND` if the backend failed. The change may or may not have been stored.
   */
  async update<K extends KeyOf<Data>>(
    key: K,
    change: (current: ReadonlyValue<Data[K]> | undefined) => Data[K] | ReadonlyValue<Data[K]>,
  ): Promise<ReadonlyValue<Data[K]>> {
    checkKey(key)
    if (typeof change !== 'function') {
      throw new SessionTypeError(
        'ERR_VALUE',
        'update() takes a function of the current value: to set a value, use set()',
      )
    }
    const stored = await this.#verbs.update(key, change as (current: unknown) => unknown)
    return stored as ReadonlyValue<Data[K]>
  }

  /**
   * Stores what was changed, now, and resolves when it is stored. A visitor without a session gets one if something is set.
   *
   * @throws `ERR_SESSION_GONE` if the session was logged out, rotated or expired meanwhile.
   * @throws `ERR_BACKEND` if the backend failed; the changes are still here and can be saved again.
   */
  save(): Promise<void> {
    return this.#verbs.save()
  }

  /**
   * Ends the session, now: when it resolves, no request on any machine can bring it back, and the response removes the
   * cookie. Values set afterwards begin a new session.
   *
   * @throws `ERR_BACKEND` if the backend failed; the visitor may still be logged in.
   */
  terminate(): Promise<void> {
    return this.#verbs.terminate()
  }

  /**
   * Moves the session to a new id, keeping its values. Call it whenever a visitor's rights change, above all at log-in: an
   * id that someone else may know is then worthless. Done by the next `save` or when the response begins, whatever
   * `autoSave` and the status. A session that ended meanwhile begins anew, with what this request sets.
   *
   * @param options `authenticated: true` restarts the absolute timeout as well: the visitor has just proved who they are.
   */
  regenerate(options: { authenticated?: boolean } = {}): void {
    this.#assertOpen('regenerate')
    if (this.#state.phase === 'gone') this.#state.ended('new')
    this.#state.rotation = {
      authenticated: (options.authenticated ?? false) || this.#state.rotation?.authenticated === true,
    }
  }

  /** Seconds of idleness after which this session ends; `TIMEOUT_SESSION` (0): the cookie ends with the browser session. */
  get timeout(): number {
    return this.#state.changes.timeout ?? this.#state.record?.header.timeout ?? this.#defaults.timeout
  }

  /** For this session only, kept with it. Throws `ERR_TIMEOUT` for anything but a whole number of seconds. */
  set timeout(seconds: number) {
    this.#assertOpen('timeout')
    if (!isTimeout(seconds)) {
      throw new SessionTypeError(
        'ERR_TIMEOUT',
        `timeout must be a whole number of seconds from 0 to ${MAX_TIMEOUT_SECONDS}, not ${describeValue(seconds)}`,
      )
    }
    this.#state.changes.timeout = seconds
  }

  /** Whether there is a session: one is stored, or will be when the response begins. */
  get started(): boolean {
    const { phase, changes } = this.#state
    return phase === 'live' || (phase === 'new' && this.#defaults.autoSave && changes.setsValues)
  }

  /** Whether something was changed that is not stored yet. */
  get needsSave(): boolean {
    return !this.#state.changes.isEmpty || this.#state.rotation !== undefined
  }

  /** Names the session in logs and lists. Not the id: it opens nothing. Kept over `regenerate`. */
  get publicId(): string {
    return this.#state.publicId
  }

  /** What `console.log` and loggers show: no values, which may be anybody's secrets. */
  toJSON(): { publicId: string; started: boolean; needsSave: boolean } {
    return { publicId: this.publicId, started: this.started, needsSave: this.needsSave }
  }

  static {
    const show = function (this: Session): object {
      return { [this.constructor.name]: this.toJSON() }
    }
    Object.defineProperty(this.prototype, Symbol.for('nodejs.util.inspect.custom'), { value: show })
  }

  #assertOpen(what: string): void {
    if (!this.#state.committed) return
    throw new SessionError('ERR_COMMITTED', `${what} comes too late: ${this.#state.tooLate}`)
  }
}

function checkKey(key: unknown): string {
  if (typeof key === 'string') return key
  throw new SessionTypeError('ERR_KEY', `a session's keys are strings, not ${describeValue(key)}`)
}

/** What becomes of a verb whose session has ended. */
export function goneError(): SessionError {
  return new SessionError(
    'ERR_SESSION_GONE',
    'The session was logged out, rotated or expired while this request ran; nothing was stored. regenerate() begins a new one',
  )
}

/** What becomes of asking for the session of a request that no adapter has seen. */
export function noMiddlewareError(): SessionError {
  return new SessionError(
    'ERR_NO_MIDDLEWARE',
    'sessions.get() got a request that the session middleware has not seen: mount it before this handler',
  )
}

/** What becomes of a verb that would begin a session when nobody can be told its id any more. */
export function noCookieError(): SessionError {
  return new SessionError(
    'ERR_COMMITTED',
    "A new session can't begin here: the response's headers were sent, and with them the last chance to set its cookie",
  )
}
