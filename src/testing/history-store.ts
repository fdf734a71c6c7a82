import type { Backend, PlainBackend } from '../backend.js'
import type { DialectFactory } from '../dialect.js'
import { forwardTo } from './forwarding-backend.js'
import type { Order } from './history-order.js'
import type { SeededRandom } from './history-random.js'

/** Milliseconds; now and then longer than a session lasts. */
const RESTS = [0, 0, 0, 20_000, 100_000, 1_000_000] as const

/** The servers' clock. Milliseconds pass with every call to the store, now and then seconds. */
export class Clock {
  /** Whole seconds, as in cookies: what is rounded must not depend on when a history begins. */
  readonly start: number = Math.floor(Date.now() / 1000) * 1000
  readonly #random: SeededRandom
  #passed = 0

  constructor(random: SeededRandom) {
    this.#random = random
  }

  now(): number {
    return this.start + this.#passed
  }

  pass(): void {
    this.#passed += this.#random.chance(0.005) ? 5000 : this.#random.below(20)
  }

  /** Between requests, so that none lasts longer than its session. */
  rest(): void {
    this.#passed += this.#random.pick(RESTS)
  }
}

/** A server's way to the store: calls get through in their order, and time passes meanwhile. */
export function inOrder<B extends Backend | PlainBackend>(inner: B, order: Order, clock: Clock): B {
  return forwardTo(inner, ({ operation }, run) =>
    order.call(() => {
      clock.pass()
      return run()
    }, operation),
  )
}

/** Keeps nothing, for any plain dialect: what is stored there nobody finds. */
export function nowhere(dialect: DialectFactory): PlainBackend {
  const made = dialect({
    secrets: ['of no session'.repeat(3)],
    encryptKeys: [],
    cookieName: 'nowhere',
    random: (size) => new Uint8Array(size),
  })
  return {
    layout: 'plain',
    ...(made.layout === 'plain' && made.form && { form: made.form }),
    read: async () => undefined,
    create: async (_, value) => ({ value, version: 0 }),
    replace: async () => 'gone',
    delete: async () => 'gone',
  }
}
