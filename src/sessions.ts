import { currentVisit, runWith } from './ambient.js'
import { closeAll } from './backend-call.js'
import type { Budget } from './budget.js'
import { checkOptions, type CleanupOptions, type SessionsOptions, type Settings, settingsOf } from './config.js'
import { CarryOver } from './carry-over.js'
import { clearCookie, setCookie } from './cookie.js'
import type { OpenedCookie } from './dialect.js'
import type { SessionEnd } from './endings.js'
import { type SessionError, SessionTypeError } from './errors.js'
import { Followed } from './followed.js'
import { Lifetime } from './lifetime.js'
import { applyChanges, Changes, type EncodedValue, type StoredRecord } from './record.js'
import type { Live } from './layout.js'
import { type Created, type Found, RecordStore } from './record-store.js'
import { readCookies } from './request-cookies.js'
import { type ReadHeader, type ResponseHeaders, responseHeaders } from './response-headers.js'
import { goneError, noCookieError, noMiddlewareError, Session, type SessionData, SessionState } from './session.js'
import { sweepBackend } from './sweep.js'

/*
 * READ FIRST. The journey of a request:
 *
 *     Cookie header → open (no I/O, no crypto) → Visit → handler
 *       → [only when the handler asks] visit.session(): seal → id → backend → record → Session
 *       → commit: nothing | touch | replace | create | rotate
 *       → Set-Cookie, Vary, Cache-Control → and only then the response's first byte
 */

export type { Followed, SessionEnd }

/** Makes sessions of your data's type. Throws `ERR_CONFIG`, listing every problem, if an option is wrong. */
export function createSessions<Data extends object = SessionData>(options: SessionsOptions): Sessions<Data> {
  return new Sessions<Data>(checkOptions(options))
}

/** What an adapter knows of a request besides its cookies. */
export interface RequestFacts {
  /** Called when the handler first asks for the session: from then on the response must wait for the commit. */
  onUse?: () => void
  /** Whether the connection is certainly not HTTPS and not local either. */
  isPlainHttp?: () => boolean
}

/** The sessions of an application: made once by `createSessions`, shared by all its requests. */
export class Sessions<Data extends object = SessionData> {
  readonly #core: Core
  /**
   * Where a request keeps its visit. Not a WeakMap: the visit knows the request, and an entry whose value leads back to its
   * key is only dropped by a full garbage collection.
   */
  readonly #visit = Symbol('vishnu.visit')

  /** Use `createSessions`, which checks the options. */
  constructor(settings: Settings) {
    const lifetime = new Lifetime(settings)
    const records = new RecordStore(settings, lifetime)
    const carryOver = new CarryOver(settings, lifetime, records)
    this.#core = { settings, lifetime, records, carryOver }
    settingsOf.set(this, settings)
  }

  /**
   * The session of a request.
   *
   * @throws `ERR_NO_MIDDLEWARE` if no adapter of these sessions has seen the request.
   * @throws `ERR_BACKEND` (status 503) if the session can't be read. It is not a logged-out visitor.
   */
  get(request: object): Promise<Session<Data>> {
    const visit = this.#visitOf(request)
    return visit ? visit.session() : Promise.reject(noMiddlewareError())
  }

  /** The session of the request that is being handled, wherever in the code that is. Rejects `ERR_NO_REQUEST` elsewhere. */
  async current(): Promise<Session<Data>> {
    return (currentVisit(this) as Visit<Data>).session()
  }

  /** For adapters: begins a request. Does nothing yet but remember its cookies. */
  open(cookieHeader: string | undefined, facts: RequestFacts = {}): Visit<Data> {
    return new Visit<Data>(this.#core, cookieHeader, facts)
  }

  /** For adapters: lets `get` find the visit by the framework's request object. */
  bind(request: object, visit: Visit<Data>): void {
    // A plain assignment: an object with a defined property outlives the young generation, where requests should end.
    Object.assign(request, { [this.#visit]: visit })
  }

  /** For adapters: whether an outer adapter of the same sessions has this request already. */
  isBound(request: object): boolean {
    return this.#visitOf(request) !== undefined
  }

  /** For adapters: whether the sessions are in this process's memory, where other processes and copies of the code see none. */
  get areLocal(): boolean {
    return this.#core.settings.backend.isLocal ?? false
  }

  #visitOf(request: object | undefined): Visit<Data> | undefined {
    return (request as { [visit: symbol]: Visit<Data> | undefined } | undefined)?.[this.#visit]
  }

  /** For adapters: runs the handler so that `current()` and `getSession()` find the visit, there and in all it awaits. */
  run<T>(visit: Visit<Data>, handler: () => T): T {
    return runWith(this, visit, handler)
  }

  /**
   * For adapters: stores what is to be stored and gives the headers the response needs, before its first byte. A promise
   * of them only if there is something to wait for: most requests just read, and their responses need not be held.
   *
   * @throws `ERR_BACKEND` if it could not be stored: the response must not leave as it is.
   */
  commit(visit: Visit<Data>, header: ReadHeader): ResponseHeaders | Promise<ResponseHeaders> {
    if (!visit.consulted) {
      // Who asks from now on, in a stream for instance, can read the session, and is told that a change comes too late.
      visit.headersAreSent()
      return { set: [], append: [] }
    }
    const headers = (cookies: string[]): ResponseHeaders => responseHeaders(cookies, header, this.#core.settings.report)
    const cookies = visit.commit()
    return cookies instanceof Promise ? cookies.then(headers) : headers(cookies)
  }

  /**
   * Removes sessions that are over from a backend whose server keeps them; nobody notices but the disk. Resolves to whether
   * it is done: none are left. Any number of processes may do it at once.
   *
   * @throws `ERR_CONFIG` for wrong options, `ERR_BACKEND` if the backend fails. What was removed until then is.
   */
  async deleteExpiredSessions(options: CleanupOptions = {}): Promise<boolean> {
    return (await sweepBackend(this.#core.settings, options)).done
  }

  /** Closes the connections that the backends opened themselves. */
  async close(): Promise<void> {
    const { backend, accept } = this.#core.settings
    await closeAll([backend, ...accept.map((origin) => origin.backend)])
  }
}

interface Core {
  readonly settings: Settings
  readonly lifetime: Lifetime
  readonly records: RecordStore
  readonly carryOver: CarryOver
}

/** One request on its way: which cookie it brought, what was found behind it, and what became of it. */
export class Visit<Data extends object = SessionData> {
  readonly #core: Core
  readonly #cookieHeader: string | undefined
  readonly #facts: RequestFacts
  readonly #state: SessionState

  #loading: Promise<Session<Data>> | undefined
  #session: Session<Data> | undefined
  #lastVerb: Promise<unknown> | undefined
  #pendingVerbs = 0
  #consulted = false
  #cookieIsSettled = false
  #hasTriedToTouch = false

  /** The names of the session cookies that came with the request. */
  #brought: readonly string[] = []
  #cookie: OpenedCookie | undefined
  #id: string | undefined
  #found: Found = ABSENT

  /** Done by this request; each is a reason for a Set-Cookie of its own. */
  readonly #done = { issued: false, confirmed: false, retimed: false, terminated: false }

  /** For adapters of frameworks that don't tell what a handler has thrown: the last error that its session has given it. */
  failure: unknown

  constructor(core: Core, cookieHeader: string | undefined, facts: RequestFacts) {
    this.#core = core
    this.#cookieHeader = cookieHeader
    this.#facts = facts
    this.#state = new SessionState(core.settings.random)
  }

  /** For adapters: whether the handler has asked for the session. */
  get consulted(): boolean {
    return this.#consulted
  }

  /** Reads the session when first asked, and no more than once, unless that failed. */
  session(): Promise<Session<Data>> {
    if (!this.#consulted) this.#facts.onUse?.()
    this.#consulted = true
    return (this.#loading ??= this.#load())
  }

  async #load(): Promise<Session<Data>> {
    const { settings, records, carryOver } = this.#core
    const { own, foreign, names } = readCookies(this.#cookieHeader, settings, carryOver)
    this.#brought = names
    this.#cookie = own
    try {
      if (own) {
        this.#id = own.id
        this.#found = await records.load(settings.dialect.key(own.id), records.budget())
      } else if (foreign) {
        const carried = await carryOver.load(foreign, records.budget())
        this.#id = carried.id
        this.#found = carried.found
        this.#done.issued = true
      }
    } catch (error) {
      this.#loading = undefined
      this.failure = error
      throw error
    }
    if (this.#found.kind === 'gone') this.#state.ended('gone')
    if (this.#found.kind === 'live') this.#state.stored(this.#found.record)
    const verbs = {
      save: () => this.#inTurn(() => this.#save()),
      update: (key: string, change: (current: unknown) => unknown) => this.#inTurn(() => this.#update(key, change)),
      terminate: () => this.#inTurn(() => this.#terminate()),
    }
    return (this.#session = new Session<Data>(this.#state, settings.dialect, verbs, settings))
  }

  /**
   * For adapters: no cookie can follow. The session can be read, and updated if there is one; `set` throws `ERR_COMMITTED`.
   *
   * @param reason How that error goes on, where it is not that the headers have left.
   */
  headersAreSent(reason?: string): void {
    if (reason !== undefined) this.#state.tooLate = reason
    this.#state.committed = true
    this.#cookieIsSettled = true
  }

  /** For sockets, which outlive their request: what was found behind the cookie, and what becomes of it. */
  followed(): Followed {
    const { records, settings } = this.#core
    const isNamed = this.#session !== undefined && this.#id !== undefined
    const found = this.#state.phase === 'gone' && this.#found.kind === 'live' ? ABSENT : this.#found
    return new Followed(found, isNamed, records, settings.now)
  }

  /**
   * Stores what the handler left to be stored, then decides on the cookie, which thus never speaks of a session that is
   * not stored. From here on the session can't be changed, since the headers are about to leave.
   */
  commit(): string[] | Promise<string[]> {
    this.#state.committed = true
    if (this.#commitTakesTime()) return this.#commitInTurn()
    this.#cookieIsSettled = true
    return this.#responseCookies()
  }

  #commitTakesTime(): boolean {
    const { changes, rotation } = this.#state
    const isUnderWay = this.#pendingVerbs > 0 || (this.#loading !== undefined && !this.#session)
    return isUnderWay || !changes.isEmpty || rotation !== undefined || this.#touchIsDue(this.#live)
  }

  async #commitInTurn(): Promise<string[]> {
    await this.#loading?.catch(() => undefined)
    return this.#inTurn(async () => {
      try {
        // Not loaded: the backend was down, and the handler has chosen how to answer. Nothing was changed.
        if (this.#session) await this.#storeAtCommit()
      } catch (error) {
        const { code, message } = error as Partial<SessionError>
        const isOutage = code === 'ERR_BACKEND' || code === 'ERR_BACKEND_FULL'
        if (!isOutage) this.#core.settings.report('unsaved', `A session was not stored: ${message}`, { cause: error })
        throw error
      } finally {
        this.#cookieIsSettled = true
        this.#state.changes.reset()
      }
      return this.#responseCookies()
    })
  }

  async #storeAtCommit(): Promise<void> {
    const { settings, records } = this.#core
    const { changes, phase, rotation } = this.#state
    const isLost = phase === 'gone' && !changes.isEmpty
    if (isLost) return this.#reportGone()
    if (!settings.autoSave && (phase === 'new' ? changes.setsValues : !changes.isEmpty)) {
      settings.report('unsaved', 'Session changes were dropped: call session.save(), or turn autoSave on.')
    }

    const toStore = settings.autoSave ? changes.copy() : new Changes()
    const budget = records.budget()
    if (rotation || !toStore.isEmpty) {
      const outcome = await this.#store(toStore, budget)
      if (outcome === 'gone') this.#reportGone()
    } else if (this.#touchIsDue(this.#live)) {
      await this.#touch(this.#live, budget)
    }
  }

  async #save(): Promise<void> {
    const outcome = await this.#store(this.#state.changes.copy(), this.#core.records.budget())
    if (outcome === 'gone') throw goneError()
  }

  async #store(changes: Changes, budget: Budget): Promise<'stored' | 'gone'> {
    const { records, lifetime } = this.#core
    const state = this.#state
    if (state.phase === 'gone') return 'gone'

    const live = this.#live
    if (!live) {
      // Nothing is kept of a visitor until there is something to keep.
      if (!changes.setsValues) return 'stored'
      this.#assertCookieCanFollow()
      this.#issue(await records.create(this.#newRecord(changes), budget))
    } else if (state.rotation) {
      this.#assertCookieCanFollow()
      const { rotation } = state
      const restart = rotation.authenticated ? { absolute: lifetime.absoluteDeadline() } : {}
      const rotate = (record: StoredRecord): StoredRecord => {
        const { header, values } = applyChanges(record, changes)
        return { header: { ...header, ...restart }, values }
      }
      const created = await records.rotate(live, rotate, budget)
      if (created === 'gone') return this.#lose()
      this.#issue(created, rotation)
    } else if (!changes.isEmpty) {
      const changed = await records.replace(live, (record) => applyChanges(record, changes), true, budget)
      if (changed === 'gone') return this.#lose()
      this.#confirm(changed)
    }
    state.changes.settle(changes)
    if (changes.timeout !== undefined) this.#done.retimed = true
    return 'stored'
  }

  async #update(key: string, change: (current: unknown) => unknown): Promise<unknown> {
    const { dialect } = this.#core.settings
    const { records } = this.#core
    const state = this.#state
    if (state.phase === 'gone') throw goneError()

    const budget = records.budget()
    // A log-in's `regenerate()` comes first: what the update stores must not be seen by who holds the old id.
    const isLost = state.rotation && (await this.#store(new Changes(), budget)) === 'gone'
    if (isLost) throw goneError()

    const pending = state.changes.copy()
    const changes = new Changes()
    let stored: EncodedValue = ''
    const apply = (record: StoredRecord): StoredRecord => {
      // The request sees its own changes of this key, and they are stored along; all its others stay where they are.
      const encoded = pending.covers(key) ? pending.encoded(key) : record.values.get(key)
      const value = change(encoded === undefined ? undefined : dialect.decodeValue(key, encoded))
      if (isThenable(value)) {
        throw new SessionTypeError('ERR_VALUE', 'update() takes a synchronous function: what it awaits, await before')
      }
      stored = dialect.encodeValue(key, value)
      changes.set(key, stored)
      return applyChanges(record, changes)
    }

    if (this.#live) {
      const changed = await records.replace(this.#live, apply, false, budget)
      if (changed === 'gone') {
        this.#lose()
        throw goneError()
      }
      this.#confirm(changed)
    } else {
      this.#assertCookieCanFollow()
      this.#issue(await records.create(apply(this.#newRecord(new Changes())), budget))
    }
    state.changes.settleKey(key, pending.byKey.get(key))
    if (state.changes.spared === pending.spared) state.changes.spared?.add(key)
    return dialect.decodeValue(key, stored)
  }

  async #terminate(): Promise<void> {
    const { records } = this.#core
    await records.terminate(this.#found, records.budget())
    this.#found = ABSENT
    this.#id = undefined
    this.#state.ended('new')
    this.#state.changes.reset()
    this.#state.rotation = undefined
    this.#done.terminated = true
  }

  /** The one write that reading may cause. If it fails the session ends a little earlier: no reason to fail the request. */
  async #touch(live: Live, budget: Budget): Promise<void> {
    this.#hasTriedToTouch = true
    const outcome = await this.#core.records.touch(live, budget).catch(() => undefined)
    if (outcome === 'gone') {
      this.#lose()
      this.#reportGone()
    } else if (typeof outcome === 'object') {
      this.#confirm(outcome)
    }
  }

  #touchIsDue(live: Live | undefined): live is Live {
    if (!live || this.#hasTriedToTouch) return false
    const canBeResealed = this.#cookie?.stale && !this.#cookieIsSettled
    return canBeResealed || this.#core.lifetime.touchIsDue(live.record.header, live.deadline)
  }

  /** At most one of each name, and only for what this request did: a late answer must not overwrite a newer one's cookie. */
  #responseCookies(): string[] {
    const { settings, lifetime } = this.#core
    const { cookie, dialect, now } = settings
    const remove = (name: string): string => clearCookie({ ...cookie, name })
    if (!this.#live || this.#id === undefined) return this.#done.terminated ? this.#brought.map(remove) : []
    const { header } = this.#live.record
    if (!this.#cookieIsDue(header)) return []
    if (cookie.secure && this.#facts.isPlainHttp?.()) {
      settings.report(
        'insecure',
        'A secure session cookie was sent over plain HTTP, where browsers drop it: serve HTTPS, have the proxy send X-Forwarded-Proto, or set secure: false.',
      )
    }
    const seconds = lifetime.cookieSeconds(header)
    const expires = seconds === undefined ? 0 : Math.floor(now() / 1000) + seconds
    const replaced = this.#brought.filter((name) => name !== cookie.name)
    return [setCookie(cookie, dialect.seal(this.#id, expires), seconds, now()), ...replaced.map(remove)]
  }

  #cookieIsDue(header: StoredRecord['header']): boolean {
    if (this.#done.issued || this.#done.retimed) return true
    if (!this.#done.confirmed || !this.#cookie) return false
    const { stale, expires } = this.#cookie
    return stale || expires === undefined || this.#core.lifetime.cookieIsDue(header, expires)
  }

  #newRecord(changes: Changes): StoredRecord {
    const { settings, lifetime } = this.#core
    const header = {
      stamp: '',
      created: settings.now(),
      absolute: lifetime.absoluteDeadline(),
      timeout: changes.timeout,
      publicId: this.#state.publicId,
    }
    return { header, values: settings.dialect.noValues.with(changes) }
  }

  /** @param rotation What was asked for when this began. What was asked for since is still to be done. */
  #issue({ id, live }: Created, rotation = this.#state.rotation): void {
    this.#id = id
    this.#done.issued = true
    if (this.#state.rotation === rotation) this.#state.rotation = undefined
    this.#confirm(live)
  }

  #confirm(live: Live): void {
    this.#found = live
    this.#state.stored(live.record)
    this.#done.confirmed = true
  }

  /** The stored session, unless this request has ended it or found out that another did. */
  get #live(): Live | undefined {
    return this.#state.phase === 'live' && this.#found.kind === 'live' ? this.#found : undefined
  }

  #lose(): 'gone' {
    this.#state.ended('gone')
    return 'gone'
  }

  #reportGone(): void {
    this.#core.settings.report('gone', 'A session ended while a request was using it; what was unsaved was dropped.')
  }

  #assertCookieCanFollow(): void {
    if (this.#cookieIsSettled) throw noCookieError()
  }

  /** One verb after the other: a request does not compete with itself, and the commit sees the outcome of all of them. */
  #inTurn<T>(verb: () => Promise<T>): Promise<T> {
    this.#pendingVerbs++
    const turn = Promise.resolve(this.#lastVerb)
      .then(verb)
      .finally(() => this.#pendingVerbs--)
    this.#lastVerb = turn.catch((error: unknown) => {
      this.failure = error
    })
    return turn
  }
}

const ABSENT: Found = { kind: 'absent' }

function isThenable(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
