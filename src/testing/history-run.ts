import { answered } from './answered.js'
import { HISTORY_DEFAULTS, type HistoryOptions, type HistoryReport } from './history-options.js'
import type { Lane } from './history-order.js'
import { drawPlan } from './history-plan.js'
import type { SeededRandom } from './history-random.js'
import { BrokenRule, type Violation } from './history-record.js'
import { playRequest } from './history-request.js'
import { Stage, type Store } from './history-stage.js'
import type { Visitor } from './history-world.js'
import { openBackend } from './opening.js'

/** One browser's tabs. */
const CLIENTS_OF_A_VISITOR = 4
/** After that many all clients rest. */
const OPERATIONS_OF_A_SPELL = 250

/** Makes a server's connection to the store. A backend itself is shared. */
export type Open = (() => Store | Promise<Store>) | Store

/**
 * Plays one history and checks it.
 *
 * @throws What is no history: `open` has made no backend, or a backend does not answer.
 */
export async function tellHistory(
  open: Open,
  options: HistoryOptions & { readonly seed: number },
): Promise<HistoryReport | Violation> {
  const chosen = { ...HISTORY_DEFAULTS, ...options }
  const stores = await openStores(open, chosen.servers)
  try {
    return await tell(new Stage(stores, chosen), chosen)
  } finally {
    if (typeof open === 'function') await closeStores(stores)
  }
}

async function tell(stage: Stage, chosen: typeof HISTORY_DEFAULTS): Promise<HistoryReport | Violation> {
  try {
    await playAtRandom(stage, chosen)
  } catch (error) {
    if (stage.unanswered) throw stage.unanswered
    if (error instanceof BrokenRule) return error.violation
    throw error
  }
  if (stage.unanswered) throw stage.unanswered
  return stage.violation() ?? stage.report()
}

async function closeStores(stores: readonly Store[]): Promise<void> {
  const closed = stores.map((store, server) => answered(`close by server ${server}`, async () => store.close?.()))
  await Promise.all(closed)
}

async function openStores(open: Open, servers: number): Promise<Store[]> {
  const stores: Store[] = []
  for (let server = 0; server < servers; server++) {
    stores.push(typeof open === 'function' ? await openBackend('runHistory', open) : open)
  }
  return stores
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
  for (let spell = 1; recorder.operations < operations && !stage.unanswered; spell++) {
    const limit = Math.min(operations, spell * OPERATIONS_OF_A_SPELL)
    await order.play(lanes, async (lane) => {
      while (recorder.operations < limit && !failed.signal.aborted && !stage.unanswered) {
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
