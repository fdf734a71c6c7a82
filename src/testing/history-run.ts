import { HISTORY_DEFAULTS, type HistoryOptions, type HistoryReport } from './history-options.js'
import type { Lane } from './history-order.js'
import { drawPlan } from './history-plan.js'
import type { SeededRandom } from './history-random.js'
import { BrokenRule, type Violation } from './history-record.js'
import { playRequest } from './history-request.js'
import { type Open, Stage } from './history-stage.js'
import type { Visitor } from './history-world.js'

/** One browser's tabs. */
const CLIENTS_OF_A_VISITOR = 4
/** After that many all clients rest. */
const OPERATIONS_OF_A_SPELL = 250

/** Plays one history and checks it. */
export async function tellHistory(
  open: Open,
  options: HistoryOptions & { readonly seed: number },
): Promise<HistoryReport | Violation> {
  const chosen = { ...HISTORY_DEFAULTS, ...options }
  const stage = new Stage(open, chosen)
  try {
    await playAtRandom(stage, chosen)
  } catch (error) {
    if (error instanceof BrokenRule) return error.violation
    throw error
  } finally {
    await stage.close()
  }
  return stage.violation() ?? stage.report()
}

interface Client extends Lane {
  readonly visitor: Visitor
  readonly random: SeededRandom
  requests: number
}

async function playAtRandom(stage: Stage, { operations, clients, servers }: typeof HISTORY_DEFAULTS): Promise<void> {
  const { recorder, random, order, clock } = stage
  const visitors = Array.from({ length: Math.ceil(clients / CLIENTS_OF_A_VISITOR) }, (): Visitor => ({
    newest: undefined,
    all: [],
  }))
  const lanes = Array.from({ length: clients }, (_, client): Client => ({
    client,
    random: random.fork(1000 + client),
    requests: 0,
    visitor: visitors[Math.floor(client / CLIENTS_OF_A_VISITOR)] as Visitor,
    onEvent: () => undefined,
  }))
  const failed = new AbortController()
  for (let spell = 1; recorder.operations < operations; spell++) {
    const limit = Math.min(operations, spell * OPERATIONS_OF_A_SPELL)
    await order.play(lanes, async (lane) => {
      while (recorder.operations < limit && !failed.signal.aborted) {
        const plan = drawPlan(lane.random.fork(lane.requests++), servers)
        await playRequest(stage.world, lane, lane.visitor, plan).catch((error: unknown) => {
          failed.abort()
          throw error
        })
      }
    })
    clock.rest()
  }
  await stage.lookBack(visitors)
}
