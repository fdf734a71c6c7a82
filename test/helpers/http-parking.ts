import { memory } from '../../src/backends/memory.js'
import { SessionError } from '../../src/errors.js'
import { type BackendCall, ForwardingBackend } from '../../src/testing/forwarding-backend.js'

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
export class ParkingBackend extends ForwardingBackend {
  #barrier: { arrived: Signal; opened: Signal } | undefined
  #outage: Error | undefined
  #losesReply = false
  /** Every call so far, in order. */
  readonly calls: string[] = []

  constructor() {
    super(memory())
  }

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

  /** The next write is done, and nobody is told. */
  loseNextReply(): void {
    this.#losesReply = true
  }

  /** From now on every call is refused for good, those that wait included, until `release`. */
  fail(): void {
    // An error of another kind would be tried again, for as long as the test may take to look around.
    this.#outage = new SessionError('ERR_BACKEND', 'The backend is down')
    this.#barrier?.opened.fire()
    this.#barrier = undefined
  }

  protected async around<T>({ operation }: BackendCall, run: () => Promise<T>): Promise<T> {
    const barrier = operation === 'read' ? undefined : this.#barrier
    if (barrier) {
      barrier.arrived.fire()
      await barrier.opened.promise
    }
    this.calls.push(operation)
    if (this.#outage) throw this.#outage
    const outcome = await run()
    if (!this.#losesReply || operation === 'read') return outcome
    this.#losesReply = false
    throw new Error('The reply was lost')
  }
}
