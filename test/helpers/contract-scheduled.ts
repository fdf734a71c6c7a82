import * as fc from 'fast-check'
import { HISTORY_DEFAULTS, type HistoryOptions } from '../../src/testing/history-options.js'
import { currentLane, type Lane, type Order, runLane, Standstill } from '../../src/testing/history-order.js'
import { type Plan, type PlannedStep, REGISTERS } from '../../src/testing/history-plan.js'
import { SeededRandom } from '../../src/testing/history-random.js'
import { BrokenRule, storyOf, type Violation } from '../../src/testing/history-record.js'
import { playRequest } from '../../src/testing/history-request.js'
import { Stage, type Store, timedOut } from '../../src/testing/history-stage.js'
import type { Visitor } from '../../src/testing/history-world.js'

/** One request, in terms that fast-check can draw and shrink. */
type Program = Omit<Plan, 'random'>

const SERVERS = 2

const step: fc.Arbitrary<PlannedStep> = fc.oneof(
  fc.record({ verb: fc.constantFrom('set', 'get', 'delete'), key: fc.constantFrom(...REGISTERS) }),
  fc.record({ verb: fc.constantFrom('update', 'save', 'terminate', 'clear') }),
  fc.record({ verb: fc.constant('regenerate' as const), authenticated: fc.boolean() }),
  fc.record({ verb: fc.constant('timeout' as const), seconds: fc.constantFrom(900, 3600, 0) }),
)

const program: fc.Arbitrary<Program> = fc.record({
  server: fc.nat(SERVERS - 1),
  cookie: fc.constantFrom('newest', 'newest', 'newest', 'newest', 'old', 'unknown'),
  steps: fc.array(step, { minLength: 1, maxLength: 4 }),
  isSlow: fc.boolean(),
})

// Each by itself may be left out, which an array does not try when it shrinks.
const maybe = fc.option(program, { nil: undefined, freq: 2 })
const programs = fc
  .tuple(maybe, maybe, maybe, maybe)
  .map((drawn) => drawn.filter((one) => one !== undefined))
  .filter(({ length }) => length >= 2)

/** Each set of requests is played in so many orders: a smaller set needs some other one to show the same. */
export const ORDERS = 8

/**
 * No two to four requests of one visitor break a rule, whatever the order in which the store gets to see their calls. The
 * story of the smallest that do is the failure. What fast-check draws says all: its seed and path play it again.
 */
export function interleaving(open: () => Store, options: HistoryOptions = {}): fc.IAsyncProperty<[Program[], number]> {
  return fc.asyncProperty(programs, fc.noShrink(fc.nat()), async (drawn, luck) => {
    for (let seed = luck; seed < luck + ORDERS; seed++) {
      // Drawn here: one that belongs to the values is not the same for those that they are shrunk to.
      const [scheduler] = fc.sample(fc.scheduler(), { seed, numRuns: 1 }) as [fc.Scheduler]
      await playScheduled(open(), scheduler, drawn, { ...options, seed })
    }
  })
}

/**
 * Plays the requests at once, on a session that is there already. `seed` decides what is not the scheduler's: which calls go
 * wrong, for instance.
 *
 * @throws Which rule was broken, and the story.
 */
async function playScheduled(
  store: Store,
  scheduler: fc.Scheduler,
  requests: readonly Program[],
  options: HistoryOptions & { readonly seed: number },
): Promise<void> {
  const order = new ScheduledOrder(scheduler)
  const stores = Array.from({ length: SERVERS }, () => store)
  const stage = new Stage(stores, { ...HISTORY_DEFAULTS, ...options, servers: SERVERS }, order)
  const visitor: Visitor = { newest: undefined, all: [] }
  const play = (client: number, plans: readonly Program[]): Promise<void> => {
    const lanes = plans.map((_, index) => ({ client: client + index, index, onEvent: () => undefined }))
    return order.play(lanes, (lane) => {
      const random = new SeededRandom(options.seed).fork(lane.client)
      return playRequest(stage.world, lane, visitor, { ...(plans[lane.index] as Program), random })
    })
  }
  try {
    await play(0, [{ server: 0, cookie: 'newest', steps: [{ verb: 'set', key: 'a' }], isSlow: false }])
    await play(1, requests)
    await stage.lookBack([visitor])
  } catch (error) {
    if (error instanceof BrokenRule) throw told(error.violation, scheduler)
    throw error
  }
  const violation = stage.violation()
  if (violation) throw told(violation, scheduler)
}

function told({ rule, message, steps }: Violation, scheduler: fc.Scheduler): Error {
  const calls = scheduler.report().map(({ label }) => label)
  return new Error(`${rule}\n${message}:\n${storyOf(steps)}\nThe calls: ${calls.join('; ')}`)
}

/** fast-check's scheduler chooses among the lanes' next calls, when every lane has come to one or has ended. */
class ScheduledOrder implements Order {
  readonly #scheduler: fc.Scheduler
  readonly #standstill = new Standstill()

  constructor(scheduler: fc.Scheduler) {
    this.#scheduler = scheduler
  }

  async call<T>(run: () => Promise<T>, what: string): Promise<T> {
    const lane = currentLane()
    if (!lane) return run()
    const turn = this.#scheduler.schedule(Promise.resolve(), `client ${lane.client}: ${what}`)
    this.#standstill.stop()
    await turn
    return run()
  }

  later(run: () => Promise<unknown>): void {
    void this.#scheduler
      .schedule(Promise.resolve(), 'a call that is late')
      .then(run)
      .catch(() => undefined)
      .finally(() => this.#standstill.stop())
  }

  async hang(): Promise<never> {
    throw timedOut()
  }

  async play<L extends Lane>(lanes: readonly L[], run: (lane: L) => Promise<void>): Promise<void> {
    this.#standstill.go(lanes.length)
    const ended = Promise.all(lanes.map((lane) => runLane(lane, run).finally(() => this.#standstill.stop())))
    // What fails ends the whole play; a rejection that nobody has come to await yet is no crash.
    ended.catch(() => undefined)
    for (;;) {
      await this.#standstill.reached()
      if (this.#scheduler.count() === 0) break
      this.#standstill.go()
      await this.#scheduler.waitNext(1)
    }
    await ended
  }
}
