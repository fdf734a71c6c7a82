import type { Backend, PlainBackend } from '../backend.js'
import { memory } from '../backends/memory.js'
import type { SessionsOptions } from '../config.js'
import { SessionError } from '../errors.js'
import { createSessions } from '../sessions.js'
import { faultyBackend } from './faulty-backend.js'
import { checkHistory } from './history-check.js'
import type { HISTORY_DEFAULTS, HistoryOptions, HistoryReport } from './history-options.js'
import { currentLane, type Order, RealOrder, SeededOrder } from './history-order.js'
import { SeededRandom } from './history-random.js'
import { Recorder, type Violation } from './history-record.js'
import { playRequest } from './history-request.js'
import { Clock, inOrder, nowhere } from './history-store.js'
import type { TestedServer, TestedSessions, Visitor, World } from './history-world.js'

type Chosen = HistoryOptions & typeof HISTORY_DEFAULTS & { readonly seed: number }
type Store = Backend | PlainBackend
/** Makes a server's connection to the store. A backend itself is shared. */
export type Open = (() => Store) | Store

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
  readonly #open: Open
  readonly #options: Chosen
  readonly #opened: Store[] = []
  readonly #faults = new Map<string, number>()
  #isFaulty: boolean

  /** `order`: another than the two of the options. */
  constructor(open: Open, options: Chosen, order?: Order) {
    this.#open = open
    this.#options = options
    this.#isFaulty = options.faults.length > 0
    const random = (this.random = new SeededRandom(options.seed))
    const isSeeded = options.order === 'seeded'
    this.order = order ?? (isSeeded ? new SeededOrder(random.fork(1), timedOut) : new RealOrder(random.fork(1)))
    const clock = (this.clock = new Clock(random.fork(2)))
    this.recorder = new Recorder(() => clock.now() - clock.start)
    // Its cookies are sealed with the same secret, and no other server knows their ids.
    const elsewhere = this.#createSessions(options.dialect ? nowhere(options.dialect) : memory(), { autoSave: true })
    const servers = Array.from({ length: options.servers }, (_, server) => this.#startServer(server))
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
    return this.#opened.some(({ layout }) => layout === 'plain')
  }

  #startServer(server: number): TestedServer {
    const autoSave = server % 2 === 0
    const backend = inOrder(this.#connect(), this.order, this.clock)
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

  #connect(): Store {
    const { faults, faultRate, order } = this.#options
    const open = this.#open
    const backend = typeof open === 'function' ? open() : open
    this.#opened.push(backend)
    if (faults.length === 0) return backend
    const random = this.random.fork(2 + this.#opened.length)
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

  /** When all is over, every cookie that there ever was is tried once more. */
  async lookBack(visitors: readonly Visitor[]): Promise<void> {
    this.#isFaulty = false
    const lane = { client: -1, onEvent: () => undefined }
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

  async close(): Promise<void> {
    if (typeof this.#open === 'function') for (const backend of this.#opened) await backend.close?.()
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
