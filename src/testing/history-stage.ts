import type { Backend, PlainBackend } from '../backend.js'
import { memory } from '../backends/memory.js'
import type { SessionsOptions } from '../config.js'
import { SessionError } from '../errors.js'
import { createSessions } from '../sessions.js'
import { answered, NoAnswer } from './answered.js'
import { faultyBackend } from './faulty-backend.js'
import { forwardTo } from './forwarding-backend.js'
import { checkHistory } from './history-check.js'
import type { HISTORY_DEFAULTS, HistoryOptions, HistoryReport } from './history-options.js'
import { currentLane, type Order, RealOrder, SeededOrder } from './history-order.js'
import { SeededRandom } from './history-random.js'
import { AFTERWARDS, Recorder, type Violation } from './history-record.js'
import { playRequest } from './history-request.js'
import { Clock, inOrder, nowhere } from './history-store.js'
import type { TestedServer, TestedSessions, Visitor, World } from './history-world.js'

type Chosen = HistoryOptions & typeof HISTORY_DEFAULTS & { readonly seed: number }
export type Store = Backend | PlainBackend
/** Seconds. Short enough to run out while clients rest. */
const TIMEOUT = 900
const BROWSER_SESSION_TIMEOUT = 86_400
/** Milliseconds. Where calls hang in real time a visitor waits this long for each, so it is short there. */
const SHORT_BACKEND_TIMEOUT = 100
const LONG_BACKEND_TIMEOUT = 10_000
const SECRET = 'of all servers of a history, and of no others'

/** What a history takes place on: servers with sessions on one store, faults in between, and a record of it all. */
export class Stage {
  readonly random: SeededRandom
  readonly order: Order
  readonly clock: Clock
  readonly recorder: Recorder
  readonly world: World
  readonly #stores: readonly Store[]
  readonly #options: Chosen
  readonly #faults = new Map<string, number>()
  #isFaulty: boolean
  /** Set when a backend has not answered at all: then there is nothing to go on with. */
  unanswered: NoAnswer | undefined

  /** `order`: another than the two of the options. */
  constructor(stores: readonly Store[], options: Chosen, order?: Order) {
    this.#stores = stores
    this.#options = options
    this.#isFaulty = options.faults.length > 0
    const random = (this.random = new SeededRandom(options.seed))
    const isSeeded = options.order === 'seeded'
    this.order = order ?? (isSeeded ? new SeededOrder(random.fork(1), timedOut) : new RealOrder(random.fork(1)))
    const clock = (this.clock = new Clock(random.fork(2)))
    this.recorder = new Recorder(() => clock.now() - clock.start)
    // Its cookies are sealed with the same secret, and no other server knows their ids.
    const elsewhere = this.#createSessions(options.dialect ? nowhere(options.dialect) : memory(), { autoSave: true })
    const servers = stores.map((store, server) => this.#startServer(store, server))
    this.world = {
      recorder: this.recorder,
      order: this.order,
      servers,
      isPlain: this.#isPlain,
      cookies: new Map(),
      unknownCookie: () => cookieFrom(elsewhere),
      now: () => clock.now(),
      timeout: TIMEOUT,
      mayFail: this.#mayFail,
      outcomes: new Map(),
      requests: 0,
    }
  }

  get #mayFail(): boolean {
    return this.#options.interrupted === true || this.#options.faults.length > 0
  }

  get #isPlain(): boolean {
    return this.#stores.some(({ layout }) => layout === 'plain')
  }

  #startServer(store: Store, server: number): TestedServer {
    const autoSave = server % 2 === 0
    const backend = inOrder(this.#connect(store, server), this.order, this.clock)
    // Where every use is a write, touches get in the way of everything else.
    const touches = server % 3 === 0 ? {} : { touchInterval: 0 }
    return { autoSave, sessions: this.#createSessions(backend, { ...touches, autoSave }) }
  }

  #createSessions(backend: Store, options: Partial<SessionsOptions>): TestedSessions {
    const { createSessions: create = createSessions, order, dialect } = this.#options
    const isShort = this.#mayFail && order === 'real'
    return create({
      secret: SECRET,
      backend,
      dialect,
      timeout: TIMEOUT,
      browserSessionTimeout: BROWSER_SESSION_TIMEOUT,
      backendTimeout: isShort ? SHORT_BACKEND_TIMEOUT : LONG_BACKEND_TIMEOUT,
      clock: () => this.clock.now(),
      onEvent: ({ type }) => currentLane()?.onEvent(type),
      ...options,
    })
  }

  #connect(store: Store, server: number): Store {
    const { faults, faultRate, order, interrupted = false } = this.#options
    // What is broken on purpose may well be silent.
    const backend = interrupted ? store : this.#watched(store, server)
    if (faults.length === 0) return backend
    const random = this.random.fork(3 + server)
    return faultyBackend(backend, {
      // A seeded order lets any call wait as it is.
      faults: order === 'real' ? faults : faults.filter((fault) => fault !== 'takes long'),
      random: () => (this.#isFaulty ? random.fraction() : 1),
      ...(faultRate !== undefined && { rate: faultRate }),
      hang: () => this.order.hang(),
      later: (run) => this.order.later(run),
      onFault: (fault, operation) => {
        const name = `${operation} ${fault}`
        this.#faults.set(name, (this.#faults.get(name) ?? 0) + 1)
      },
    })
  }

  /** A call that is never answered would be an outage to the core, and keep the others waiting. */
  #watched(store: Store, server: number): Store {
    return forwardTo(store, async ({ operation }, run) => {
      try {
        return await answered(`${operation} by server ${server}`, run)
      } catch (error) {
        if (error instanceof NoAnswer) this.unanswered ??= error
        throw error
      }
    })
  }

  /** When all is over, every cookie that there ever was is tried once more. */
  async lookBack(visitors: readonly Visitor[]): Promise<void> {
    this.#isFaulty = false
    const lane = { client: AFTERWARDS, onEvent: () => undefined }
    await this.order.play([lane], async () => {
      for (const visitor of visitors) {
        for (const cookie of visitor.all) {
          const plan = { server: 0, cookie: 'newest', steps: [], isSlow: false, random: new SeededRandom(0) } as const
          await playRequest(this.world, lane, { newest: cookie, all: [] }, plan)
        }
      }
    })
  }

  violation(): Violation | undefined {
    const { forgets = false } = this.#options
    return checkHistory(this.recorder, {
      forgets,
      isPlain: this.#isPlain,
      browserSessionTimeout: BROWSER_SESSION_TIMEOUT,
    })
  }

  report(): HistoryReport {
    return {
      seed: this.#options.seed,
      operations: this.recorder.operations,
      requests: this.world.requests,
      sessions: this.recorder.lineages.size,
      ids: this.recorder.incarnations.length,
      outcomes: this.world.outcomes,
      faults: this.#faults,
      digest: this.recorder.digest(),
    }
  }
}

async function cookieFrom(sessions: TestedSessions): Promise<string> {
  const visit = sessions.open(undefined)
  const session = await visit.session()
  session.set('a', 'elsewhere')
  const { append } = await sessions.commit(visit, () => undefined)
  return append.find(([name]) => name === 'set-cookie')?.[1].split(';', 1)[0] ?? ''
}

/** As the core tells of a call that hangs. */
export function timedOut(): Error {
  return new SessionError('ERR_BACKEND', 'The backend did not finish in time')
}
