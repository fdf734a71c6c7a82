import { clearTimeout, setTimeout } from 'node:timers'
import { messageOf, SessionError } from './errors.js'

/** A call that somebody waits for. */
interface Waiting {
  /** On the clock of `performance.now()`. */
  readonly end: number
  readonly giveUp: () => void
}

/**
 * Watches over calls that may never be answered. One timer for all of them: one for each would cost more than a read from
 * memory does. It keeps the process alive only while somebody waits.
 */
class Watch {
  readonly #waiting = new Set<Waiting>()
  #timer: NodeJS.Timeout | undefined
  /** When the timer ends. Not later than the first of the calls, and often earlier: most calls are settled by then. */
  #wakes = Infinity
  readonly #keepsTimer: boolean

  /** @param keepsTimer Whether the timer stays for the calls to come when nobody waits. */
  constructor(keepsTimer: boolean) {
    this.#keepsTimer = keepsTimer
  }

  begin(call: Waiting): void {
    this.#waiting.add(call)
    if (call.end < this.#wakes) this.#wakeAt(call.end)
    else if (this.#waiting.size === 1) this.#timer?.ref()
  }

  settle(call: Waiting): void {
    this.#waiting.delete(call)
    if (this.#waiting.size > 0) return
    if (this.#keepsTimer) {
      this.#timer?.unref()
    } else {
      clearTimeout(this.#timer)
      this.#wakes = Infinity
    }
  }

  #wakeAt(time: number): void {
    clearTimeout(this.#timer)
    this.#wakes = time
    this.#timer = setTimeout(() => this.#wake(), Math.max(1, Math.ceil(time - performance.now())))
  }

  #wake(): void {
    const now = performance.now()
    const late = [...this.#waiting].filter(({ end }) => end <= now).toSorted((one, other) => one.end - other.end)
    for (const call of late) this.#waiting.delete(call)
    this.#wakes = Infinity
    if (this.#waiting.size > 0) this.#wakeAt(Math.min(...Array.from(this.#waiting, ({ end }) => end)))
    for (const { giveUp } of late) giveUp()
  }
}

/**
 * Cloudflare Workers end a request's timers together with the request, so there every budget watches for itself. They allow
 * 10,000 timers, and know no `unref`.
 */
const isWorker = (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === 'Cloudflare-Workers'
const sharedWatch = isWorker ? undefined : new Watch(true)

/**
 * The time that one step (opening, committing, a verb) may spend on the backend, retries included. Real time, not the
 * injected clock: it bounds how long a visitor waits, not how long a session lives.
 */
export class Budget {
  readonly #milliseconds: number
  readonly #end: number
  readonly #watch: Watch
  #lastFailure: unknown

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds
    this.#end = performance.now() + milliseconds
    this.#watch = sharedWatch ?? new Watch(false)
  }

  get spent(): boolean {
    return performance.now() >= this.#end
  }

  /**
   * The call's outcome, or a rejection when the time is up. Several clients wait for ever for a server that hangs, so
   * none is trusted to give up by itself. What the abandoned call does later can't harm: every write is conditional.
   */
  run<T>(call: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting = { end: this.#end, giveUp: () => reject(this.#timeout()) }
      this.#watch.begin(waiting)
      call().then(
        (outcome) => {
          this.#watch.settle(waiting)
          resolve(outcome)
        },
        (error: unknown) => {
          this.#watch.settle(waiting)
          this.#lastFailure = error
          reject(error)
        },
      )
    })
  }

  /** Waits before retry number `attempt` (from 0): full jitter below 1, 2, 4 … 64 ms, so that rivals drift apart. */
  async pause(attempt: number): Promise<void> {
    const delay = Math.random() * 2 ** Math.min(attempt, 6)
    if (performance.now() + delay >= this.#end) throw this.#timeout()
    await new Promise((resolve) => setTimeout(resolve, delay))
  }

  /** With what went wrong in that time: the operator has to mend that, not the clock. */
  #timeout(): SessionError {
    const message = `The backend did not finish within ${this.#milliseconds} ms`
    const cause = this.#lastFailure
    if (cause === undefined) return new SessionError('ERR_BACKEND', message)
    return new SessionError('ERR_BACKEND', `${message}: ${messageOf(cause)}`, { cause })
  }
}
