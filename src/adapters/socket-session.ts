import { clearTimeout, setTimeout } from 'node:timers'
import { SessionError } from '../errors.js'
import type { Session } from '../session.js'
import type { Followed, SessionEnd, Visit } from '../sessions.js'

/** One visitor's session for as long as a socket is open. */
export class SocketSession<Data extends object> {
  readonly #open: () => Visit<Data>
  readonly #checkEvery: number
  readonly #hadSession: boolean
  readonly #listeners: ((end: SessionEnd) => void)[] = []
  #followed: Followed
  #session: Session<Data>
  #end: SessionEnd | undefined
  #stopListening: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  /** Use `socketSession`. */
  constructor(visit: Visit<Data>, session: Session<Data>, open: () => Visit<Data>, checkEvery: number) {
    this.#followed = visit.followed()
    this.#session = session
    this.#hadSession = session.started
    this.#open = open
    this.#checkEvery = checkEvery
  }

  /**
   * The session as it was last read: at first when the socket was asked for. `update` and `terminate` work, on the newest
   * state; `set` and `regenerate` do not, since no cookie can follow.
   *
   * @throws `ERR_SESSION_GONE` when it is known to have ended.
   */
  get session(): Session<Data> {
    if (!this.#end) return this.#session
    throw new SessionError('ERR_SESSION_GONE', `The session of this socket is over (${this.#end}): close the socket`)
  }

  /**
   * Reads the session again. That is a use, which keeps the session alive; the cookie in the browser is not renewed by it.
   *
   * @throws `ERR_SESSION_GONE` if it has ended; `ERR_BACKEND` if it can't be read, which says nothing about it.
   */
  async reload(): Promise<Session<Data>> {
    const visit = this.#open()
    const session = await visit.session()
    await visit.commit()
    this.#followed = visit.followed()
    this.#session = session
    this.#finishIfOver()
    return this.session
  }

  /**
   * Calls back once the session has ended: close the socket then. From here on somebody looks after the session, until it
   * ends or `close` is called. A visitor without a session has none that could end.
   */
  onEnd(listener: (end: SessionEnd) => void): void {
    if (this.#end) return tell([listener], this.#end)
    if (this.#isClosed) return
    this.#listeners.push(listener)
    if (!this.#hadSession || this.#stopListening) return
    this.#stopListening = this.#followed.onEnd((end) => this.#finish(end))
    // At once: it may have ended since it was read.
    void this.#check()
  }

  /** To be called when the socket is closed: nobody looks after the session any more. */
  close(): void {
    this.#isClosed = true
    this.#stopListening?.()
    clearTimeout(this.#timer)
  }

  #finishIfOver(): void {
    if (this.#hadSession && this.#followed.end) this.#finish(this.#followed.end)
  }

  #finish(end: SessionEnd): void {
    this.#end = end
    this.close()
    tell(this.#listeners.splice(0), end)
  }

  /** Spread, so that sockets that were opened together, after a restart, say, don't look together. */
  #checkLater(): void {
    const wait = this.#checkEvery * 1000 * (0.5 + Math.random() / 2)
    this.#timer = setTimeout(() => void this.#check(), Math.min(wait, this.#followed.timeLeft + 1)).unref()
  }

  async #check(): Promise<void> {
    const visit = this.#open()
    // An outage says nothing about the session: the next look will.
    await visit.session().catch(() => undefined)
    if (this.#isClosed) return
    this.#followed = visit.followed()
    this.#finishIfOver()
    if (!this.#end) this.#checkLater()
  }
}

/** Not now: what a listener throws is not the business of the request that has ended the session. */
function tell(listeners: ((end: SessionEnd) => void)[], end: SessionEnd): void {
  for (const listener of listeners) queueMicrotask(() => listener(end))
}
