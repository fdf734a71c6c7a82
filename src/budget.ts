import { SessionError } from './errors.js'

/**
 * The time that one step (opening, committing, a verb) may spend on the backend, retries included. Real time, not the
 * injected clock: it bounds how long a visitor waits, not how long a session lives.
 */
export class Budget {
  readonly #milliseconds: number
  readonly #end: number

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds
    this.#end = performance.now() + milliseconds
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
      const timer = setTimeout(() => reject(this.#timeout()), Math.max(0, this.#end - performance.now()))
      call().then(
        (outcome) => {
          clearTimeout(timer)
          resolve(outcome)
        },
        (error: unknown) => {
          clearTimeout(timer)
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

  #timeout(): SessionError {
    return new SessionError('ERR_BACKEND', `The backend did not finish within ${this.#milliseconds} ms`)
  }
}
