import type { Backend, Entry } from '../../src/backend.js'
import { memory } from '../../src/backends/memory.js'
import { SessionError } from '../../src/errors.js'

export interface Signal {
  readonly promise: Promise<void>
  readonly fire: () => void
}

export function signal(): Signal {
  let fire = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    fire = resolve
  })
  return { promise, fire }
}

/**
 * The memory backend behind a barrier. A test closes it, waits until a write stands there, looks around, and opens it
 * again: what comes before what is then a matter of order, never of time.
 */
export class ParkingBackend implements Backend {
  readonly #inner = memory()
  #barrier: { arrived: Signal; opened: Signal } | undefined
  #outage: Error | undefined
  /** Every call so far, in order. */
  readonly calls: string[] = []

  /** From now on writes wait for `release` or `fail`. */
  park(): void {
    this.#barrier ??= { arrived: signal(), opened: signal() }
  }

  /** Resolves once a write waits. */
  get parked(): Promise<void> {
    return this.#barrier?.arrived.promise ?? Promise.reject(new Error('Nothing is parked: call park() first'))
  }

  release(): void {
    this.#outage = undefined
    this.#barrier?.opened.fire()
    this.#barrier = undefined
  }

  /** From now on every call is refused for good, those that wait included, until `release`. */
  fail(): void {
    // An error of another kind would be tried again, for as long as the test may take to look around.
    this.#outage = new SessionError('ERR_BACKEND', 'The backend is down')
    this.#barrier?.opened.fire()
    this.#barrier = undefined
  }

  read(key: string, now: number): Promise<Entry | undefined> {
    return this.#call('read', () => this.#inner.read(key, now))
  }

  create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    return this.#write('create', () => this.#inner.create(key, value, deadline, now))
  }

  replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    return this.#write('replace', () => this.#inner.replace(key, entry, value, deadline, now))
  }

  touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    return this.#write('touch', () => this.#inner.touch(key, entry, deadline, now))
  }

  delete(key: string): Promise<void> {
    return this.#write('delete', () => this.#inner.delete(key))
  }

  async #write<T>(operation: string, run: () => Promise<T>): Promise<T> {
    const barrier = this.#barrier
    if (barrier) {
      barrier.arrived.fire()
      await barrier.opened.promise
    }
    return this.#call(operation, run)
  }

  async #call<T>(operation: string, run: () => Promise<T>): Promise<T> {
    this.calls.push(operation)
    if (this.#outage) throw this.#outage
    return run()
  }
}
