import type { Backend, Entry } from '../../src/index.js'
import { type Operation, wrapBackend } from './contract-backends.js'

/** What goes wrong with a call. `other` is the entry of another key. */
export type Fault = <T>(run: () => Promise<T>, other: () => Promise<Entry | undefined>) => Promise<T>

/** All that a network and a server can do to a call. */
export const faults = {
  'fails before it is applied': async () => {
    throw new Error('connection refused')
  },
  'fails after it was applied': async (run) => {
    await run()
    throw new Error('connection reset')
  },
  hangs: () => new Promise(() => {}),
  'hangs after it was applied': async (run) => {
    await run()
    return new Promise(() => {})
  },
  "is answered with another key's entry": async (run, other) => {
    const [outcome, entry] = await Promise.all([run(), other()])
    return isEntry(outcome) ? { ...outcome, ...entry } : outcome
  },
  'is answered with half of the bytes': async (run) => {
    const outcome = await run()
    return isEntry(outcome) ? { ...outcome, value: outcome.value.subarray(0, outcome.value.length / 2) } : outcome
  },
} satisfies Record<string, Fault>

export type FaultName = keyof typeof faults
export const faultNames = Object.keys(faults) as FaultName[]

export interface FaultyBackend extends Backend {
  /** The next calls of that kind, or that many of them, go wrong. */
  readonly breakDown: (operation: Operation, fault: Fault | FaultName, times?: number) => void
  readonly heal: () => void
  /** How many calls have gone wrong. */
  readonly hits: () => number
}

export function faultyBackend(inner: Backend): FaultyBackend {
  const broken = new Map<Operation, { fault: Fault; left: number }>()
  const keys = new Set<string>()
  let hits = 0
  const backend = wrapBackend(inner, ({ operation, key, run }) => {
    keys.add(key)
    const breakdown = broken.get(operation)
    if (!breakdown || breakdown.left-- <= 0) return run()
    hits++
    const otherKey = [...keys].find((candidate) => candidate !== key)
    return breakdown.fault(run, async () => (otherKey === undefined ? undefined : inner.read(otherKey, 0)))
  })
  return {
    ...backend,
    breakDown: (operation, fault, times = Infinity) => {
      broken.set(operation, { fault: typeof fault === 'string' ? faults[fault] : fault, left: times })
    },
    heal: () => broken.clear(),
    hits: () => hits,
  }
}

function isEntry(outcome: unknown): outcome is Entry {
  return typeof outcome === 'object' && outcome !== null && 'value' in outcome
}
