import type { Ending, Incarnation, Lineage, Load, Recorder, Step, Termination, Violation } from './history-record.js'
import { Running } from './history-running.js'
import { checkRegisters } from './history-values.js'

export interface CheckOptions {
  /** Whether the store may lose what it holds: an evicting one, or one that restarts empty. */
  readonly forgets: boolean
  /** A log-out leaves nothing behind that leads from an old id to a new one, so that it ends the one that it holds. */
  readonly isPlain: boolean
  /** Seconds that a session without a timeout lasts. */
  readonly browserSessionTimeout: number
}

/**
 * Checks what was recorded, each session by itself. Every rule looks at pairs of things of which one must not come after
 * the other; sorted lists with running extremes find them, so that a history of n steps takes about n log n.
 */
export function checkHistory(recorder: Recorder, options: CheckOptions): Violation | undefined {
  const violations: Violation[] = []
  for (const incarnation of recorder.incarnations) violations.push(...checkIncarnation(incarnation, options))
  for (const lineage of recorder.lineages.values()) violations.push(...checkRegisters(lineage))
  // The one that shows first: later ones may follow from it.
  const shownAt = ({ steps }: Violation): number => Math.max(...steps.map(({ end }) => end))
  return violations.toSorted((one, other) => shownAt(one) - shownAt(other))[0]
}

function* checkIncarnation(incarnation: Incarnation, options: CheckOptions): Generator<Violation> {
  const { lineage, rotations, loads, stores } = incarnation
  const reaches = (termination: Termination): boolean => !options.isPlain || termination.incarnation === incarnation
  const ends = [
    {
      rule: 'a terminated session never comes back',
      what: 'was terminated',
      ending: earliest(lineage.terminations.filter(reaches)),
    },
    { rule: 'a rotated id leads nowhere', what: 'had moved to a new id', ending: earliest(rotations) },
  ] as const
  for (const { rule, what, ending } of ends) {
    if (!ending) continue
    const seen = loads.find(({ step, found }) => found === 'live' && step.start > ending.end)
    if (seen) yield { rule, message: `A session was found that ${what}`, steps: [ending.step, seen.step] }
    // A rotation is itself the last thing that is stored under its id.
    const stored = stores.find((step) => step !== ending.step && step.start > ending.end)
    if (stored) yield { rule, message: `A session was changed that ${what}`, steps: [ending.step, stored] }
  }
  yield* checkGone(loads)
  yield* checkDeadlines(incarnation, options)
  if (!options.forgets) yield* checkLosses(incarnation, options)
}

function earliest(endings: readonly Ending[]): Ending | undefined {
  const certain = endings.filter(({ end }) => end < Infinity)
  return certain.toSorted((one, other) => one.end - other.end)[0]
}

function* checkGone(loads: readonly Load[]): Generator<Violation> {
  const none = loads.filter(({ found }) => found === 'none').toSorted(byEnd)[0]
  const revived = none && loads.find(({ step, found }) => found === 'live' && step.start > none.step.end)
  if (!none || !revived) return
  const message = 'A session was found under an id that had led nowhere before'
  yield { rule: 'gone stays gone', message, steps: [none.step, revived.step] }
}

/** No later than: the last moment at which anybody may have moved the deadline, and the longest timeout it ever had. */
function* checkDeadlines({ lineage, loads }: Incarnation, options: CheckOptions): Generator<Violation> {
  const longest = Math.max(...timeoutsOf(lineage, options))
  const latestUse = new Running(lineage.uses, 'start', ({ clockEnd }) => clockEnd)
  for (const { step, found } of loads) {
    const use = latestUse.before(step.end)
    if (found === 'none' || !use || step.clockStart < use.clockEnd + longest) continue
    const message = `A session was found ${step.clockStart - use.clockEnd} ms after its last use, with a timeout of ${longest} ms`
    yield { rule: 'deadlines are kept', message, steps: [use, step] }
  }
}

/** A session may be missing only if somebody may have ended it, or if its shortest timeout may have run out. */
function* checkLosses({ lineage, rotations, loads, stores }: Incarnation, options: CheckOptions): Generator<Violation> {
  const shortest = Math.min(...timeoutsOf(lineage, options))
  const firstEnding = Math.min(...[...lineage.terminations, ...rotations].map(({ start }) => start))
  const latestStore = new Running([...lineage.stores, ...stores], 'end', ({ clockStart }) => clockStart)
  for (const { step, found } of loads) {
    const store = latestStore.before(step.start)
    if (found === 'live' || !store || step.end > firstEnding || step.clockEnd >= store.clockStart + shortest) continue
    yield {
      rule: 'nothing is lost',
      message: `A session was not found, though nobody had ended it${doubtOfStore(store, step)}`,
      steps: [store, step],
    }
  }
}

/** The commonest reasons: each server has a store of its own, `runHistory(() => memory())`, or an outage was swallowed. */
function doubtOfStore({ request: stored }: Step, { request: sought }: Step): string {
  if (stored.server === sought.server) return ''
  return ` (server ${stored.server} has stored it: do all servers share a store, and do their backends reject in an outage?)`
}

function timeoutsOf(lineage: Lineage, { browserSessionTimeout }: CheckOptions): number[] {
  return [...lineage.timeouts].map((seconds) => (seconds || browserSessionTimeout) * 1000)
}

function byEnd(one: Load, other: Load): number {
  return one.step.end - other.step.end
}
