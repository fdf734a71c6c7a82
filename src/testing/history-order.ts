import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SeededRandom } from './history-random.js'

/** One of the clients, as the calls that it causes know it. */
export interface Lane {
  /** Its number, for the story. */
  readonly client: number
  /** Hears of the events of its own requests. */
  onEvent: (type: string) => void
}

/** Decides when the store gets to see a call. */
export interface Order {
  /** Passes a call of the current lane on to the store, in its turn. */
  readonly call: <T>(run: () => Promise<T>, what: string) => Promise<T>
  /** Runs a call that nobody waits for, in its turn. */
  readonly later: (run: () => Promise<unknown>) => void
  /** What becomes of a call that is never answered. */
  readonly hang: () => Promise<never>
  /** Runs the lanes side by side until all have ended, and all that was put off is done. */
  readonly play: <L extends Lane>(lanes: readonly L[], run: (lane: L) => Promise<void>) => Promise<void>
}

const current = new AsyncLocalStorage<Lane>()

/** The lane that causes what is happening. */
export function currentLane(): Lane | undefined {
  return current.getStore()
}

/** Does something as that lane. */
export function runLane<L extends Lane>(lane: L, run: (lane: L) => Promise<void>): Promise<void> {
  return current.run(lane, () => run(lane))
}

/** Tells when every lane waits for its turn or has ended. */
export class Standstill {
  #moving = 0
  #reached: () => void = () => undefined

  /** One or more go on. */
  go(count = 1): void {
    this.#moving += count
  }

  stop(): void {
    if (--this.#moving === 0) this.#reached()
  }

  async reached(): Promise<void> {
    if (this.#moving > 0) await new Promise<void>((resolve) => (this.#reached = resolve))
  }
}

/**
 * One call at a time, in an order drawn from the seed: the next is chosen when every lane waits for its turn. No timer
 * decides anything, so that the same seed gives the same history.
 */
export class SeededOrder implements Order {
  readonly #random: SeededRandom
  readonly #timeout: () => Error
  readonly #waiting = new Map<Lane, () => Promise<unknown>>()
  readonly #standstill = new Standstill()
  #late: (() => Promise<unknown>)[] = []

  /** `timeout` makes the error with which a call that hangs is given up. */
  constructor(random: SeededRandom, timeout: () => Error) {
    this.#random = random
    this.#timeout = timeout
  }

  call<T>(run: () => Promise<T>): Promise<T> {
    const lane = current.getStore()
    if (!lane) return run()
    return new Promise((resolve, reject) => {
      this.#waiting.set(lane, () => run().then(resolve, reject))
      this.#standstill.stop()
    })
  }

  later(run: () => Promise<unknown>): void {
    this.#late.push(run)
  }

  async hang(): Promise<never> {
    throw this.#timeout()
  }

  async play<L extends Lane>(lanes: readonly L[], run: (lane: L) => Promise<void>): Promise<void> {
    this.#standstill.go(lanes.length)
    const ended = lanes.map((lane) => runLane(lane, run).finally(() => this.#standstill.stop()))
    // What fails ends the whole run; a rejection that nobody has come to await yet is no crash.
    for (const end of ended) end.catch(() => undefined)
    for (;;) {
      await this.#standstill.reached()
      const choice = this.#random.below(this.#waiting.size + this.#late.length)
      const next = [...this.#waiting.entries()][choice]
      if (next) {
        const [lane, serve] = next
        this.#waiting.delete(lane)
        this.#standstill.go()
        await serve()
      } else if (this.#late.length > 0) {
        await this.#runLate(choice - this.#waiting.size)
      } else break
    }
    await Promise.all(ended)
  }

  async #runLate(index: number): Promise<void> {
    const [run] = this.#late.splice(index, 1)
    // If somebody waits for it after all, that lane moves on at once.
    await run?.().catch(() => undefined)
  }
}

/** As the calls come, side by side. For real servers, whose own order is what is to be tested. */
export class RealOrder implements Order {
  readonly #random: SeededRandom
  readonly #late = new Set<Promise<unknown>>()

  constructor(random: SeededRandom) {
    this.#random = random
  }

  call<T>(run: () => Promise<T>): Promise<T> {
    return run()
  }

  later(run: () => Promise<unknown>): void {
    const done: Promise<unknown> = sleep(this.#random.below(20))
      .then(run)
      .catch(() => undefined)
      .finally(() => this.#late.delete(done))
    this.#late.add(done)
  }

  hang(): Promise<never> {
    return new Promise(() => undefined)
  }

  async play<L extends Lane>(lanes: readonly L[], run: (lane: L) => Promise<void>): Promise<void> {
    const ended = lanes.map((lane) => runLane(lane, run))
    await Promise.allSettled(ended)
    await Promise.all(this.#late)
    await Promise.all(ended)
  }
}
