import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Backend, Entry } from '../../src/index.js'
import { failing, type FaultName, faultNames, forever } from '../../src/testing/faulty-backend.js'
import { type Operation, wrapBackend } from './contract-backends.js'

export { type FaultName, faultNames }

/** What goes wrong with a call. */
type Fault = <T>(run: () => Promise<T>, other: () => Promise<Entry | undefined>) => Promise<T>

export interface FaultyBackend extends Backend {
  /** The next calls of that kind, or that many of them, go wrong. */
  readonly breakDown: (operation: Operation, fault: Fault | FaultName, times?: number) => void
  readonly heal: () => void
  /** How many calls have gone wrong. */
  readonly hits: () => number
}

/** A backend that goes wrong when it is told to; `faultyBackend` of `vishnu/testing` does so by chance. */
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
      broken.set(operation, { fault: typeof fault === 'string' ? named(fault) : fault, left: times })
    },
    heal: () => broken.clear(),
    hits: () => hits,
  }
}

function named(name: FaultName): Fault {
  return (run, other) => failing(name, run, { other, hang: forever, later: (late) => void nextTurn().then(late) })
}
