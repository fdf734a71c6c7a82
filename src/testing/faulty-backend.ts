import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend, Entry } from '../backend.js'
import { type BackendCall, ForwardingBackend } from './forwarding-backend.js'

/**
 * What a network and a server can do to a call. The last two only happen to reads. What a backend itself must not do is not
 * among them: above all, send a write again by itself and pass on the second reply.
 */
export const faultNames = [
  'fails before it is applied',
  'fails after it was applied',
  'hangs',
  'hangs after it was applied',
  'hangs and is applied late',
  'arrives twice',
  'arrives twice, the second time late',
  'takes long',
  "is answered with another key's entry",
  'is answered with half of the bytes',
] as const

export type FaultName = (typeof faultNames)[number]

export interface FaultOptions {
  /** A number from 0 to 1, for each decision. A seeded one makes the faults the same in every run. */
  random: () => number
  /** Which faults there are. Default: all of them. */
  faults?: readonly FaultName[]
  /** The share of calls that go wrong. Default 0.05. */
  rate?: number
  /** Told of every fault, before it happens. */
  onFault?: (fault: FaultName, operation: BackendCall['operation']) => void
  /** What a call that hangs comes to. Default: nothing, for ever. */
  hang?: () => Promise<never>
  /** Sees to it that a delayed call runs, sooner or later. Default: after up to 20 ms. */
  later?: (run: () => Promise<unknown>) => void
}

/** A backend in which calls go wrong now and then, in all ways in which networks and servers fail. */
export function faultyBackend(inner: Backend, options: FaultOptions): Backend {
  return new FaultyBackend(inner, options)
}

class FaultyBackend extends ForwardingBackend {
  readonly #options: Required<FaultOptions>
  /** The latest entries of two keys, so that there is another one's to answer with. */
  readonly #latest = new Map<string, Entry>()

  constructor(inner: Backend, options: FaultOptions) {
    super(inner)
    this.#options = {
      faults: faultNames,
      rate: 0.05,
      onFault: () => undefined,
      hang: () => new Promise<never>(() => undefined),
      later: (run) =>
        void sleep(options.random() * 20)
          .then(run)
          .catch(() => undefined),
      ...options,
    }
  }

  protected async around<T>(call: BackendCall, run: () => Promise<T>): Promise<T> {
    const fault = this.#draw(call)
    if (fault === undefined) return this.#remember(call, await run())
    this.#options.onFault(fault, call.operation)
    switch (fault) {
      case 'fails before it is applied':
        throw new Error('connection refused')
      case 'fails after it was applied':
        await run()
        throw new Error('connection reset')
      case 'hangs':
        return this.#options.hang()
      case 'hangs after it was applied':
        await run()
        return this.#options.hang()
      case 'hangs and is applied late':
        this.#options.later(run)
        return this.#options.hang()
      case 'arrives twice': {
        const outcome = await run()
        await run().catch(() => undefined)
        return outcome
      }
      case 'arrives twice, the second time late': {
        const outcome = await run()
        this.#options.later(run)
        return outcome
      }
      case 'takes long':
        return new Promise((resolve, reject) => this.#options.later(() => run().then(resolve, reject)))
      case "is answered with another key's entry": {
        const outcome = await run()
        const other = [...this.#latest].find(([key]) => key !== call.key)?.[1]
        return isEntry(outcome) && other ? { ...outcome, ...other } : outcome
      }
      case 'is answered with half of the bytes': {
        const outcome = await run()
        if (!isEntry(outcome)) return outcome
        return { ...outcome, value: outcome.value.slice(0, Math.floor(outcome.value.length / 2)) }
      }
    }
  }

  #draw({ operation }: BackendCall): FaultName | undefined {
    const { random, rate, faults } = this.#options
    if (random() >= rate) return undefined
    const possible = operation === 'read' ? faults : faults.filter((fault) => !fault.startsWith('is answered'))
    return possible[Math.floor(random() * possible.length)]
  }

  #remember<T>({ key, operation }: BackendCall, outcome: T): T {
    if (operation === 'read' && isEntry(outcome)) {
      this.#latest.delete(key)
      this.#latest.set(key, { ...outcome, value: new Uint8Array(outcome.value) })
      const [oldest] = this.#latest.keys()
      if (this.#latest.size > 2 && oldest !== undefined) this.#latest.delete(oldest)
    }
    return outcome
  }
}

function isEntry(outcome: unknown): outcome is Entry {
  return typeof outcome === 'object' && outcome !== null && 'value' in outcome
}
