import { createSessions } from '../../src/index.js'
import type {
  EventListener,
  ResponseHeaders,
  Session,
  SessionData,
  SessionEvent,
  Sessions,
  SessionsOptions,
  Visit,
} from '../../src/index.js'
import { memory } from '../../src/backends/memory.js'
import { type ManualClock, manualClock } from './clock.js'
import { CookieJar } from './cookie-jar.js'
import { WatchedBackend } from './unit-backend.js'

export const SECRET = 'a secret of more than 32 characters'
const ORIGIN = new URL('https://shop.example/')

/** Sessions without HTTP: on memory, with a clock that the test moves and a backend that it watches. */
export class World<Data extends object = SessionData> {
  readonly clock: ManualClock = manualClock()
  readonly backend: WatchedBackend = new WatchedBackend(memory())
  readonly events: SessionEvent[] = []
  listener: EventListener = (event) => void this.events.push(event)
  sessions: Sessions<Data>

  constructor(options: Partial<SessionsOptions> = {}) {
    this.sessions = this.#create(options)
  }

  /** Another configuration from here on, over the same stored sessions. */
  deploy(options: Partial<SessionsOptions>): void {
    this.sessions = this.#create(options)
  }

  visitor(): Visitor<Data> {
    return new Visitor(this)
  }

  /** A visitor who has a session with these values. What that cost the backend is forgotten. */
  async visitorWith(values: { [K in keyof Data]?: Data[K] }): Promise<Visitor<Data>> {
    const visitor = this.visitor()
    await visitor.request(async (session) => {
      for (const key of Object.keys(values) as (keyof Data & string)[])
        session.set(key, values[key] as Data[typeof key])
      await session.save()
    })
    this.backend.reset()
    return visitor
  }

  /** Changes what is stored under the visitor's key, as a broken disk or another program might. */
  async tamper(visitor: Visitor<Data>, change: (text: string) => string): Promise<string> {
    const key = await visitor.storeKey()
    const now = this.clock.now()
    const entry = await this.backend.read(key, now)
    if (!entry) throw new Error('There is nothing to tamper with')
    const bytes = new TextEncoder().encode(change(new TextDecoder().decode(entry.value)))
    await this.backend.replace(key, entry, bytes, entry.deadline ?? 0, now)
    this.backend.reset()
    return key
  }

  eventTypes(): SessionEvent['type'][] {
    return this.events.map(({ type }) => type)
  }

  #create(options: Partial<SessionsOptions>): Sessions<Data> {
    return createSessions<Data>({
      secret: SECRET,
      backend: this.backend,
      clock: this.clock.now,
      onEvent: this.listener,
      ...options,
    })
  }
}

/** What a response would have carried. */
export interface Answer extends ResponseHeaders {
  /** Our Set-Cookie line, if there is one. */
  readonly cookie: string | undefined
}

type Handler<Data extends object> = (session: Session<Data>) => unknown

/** A browser at one of the world's servers. */
export class Visitor<Data extends object = SessionData> {
  readonly jar: CookieJar
  readonly #world: World<Data>

  constructor(world: World<Data>, jar: CookieJar = new CookieJar(world.clock.now)) {
    this.#world = world
    this.jar = jar
  }

  /** A second one with a copy of the cookies, as a thief or a restored backup would be. */
  clone(): Visitor<Data> {
    return new Visitor(this.#world, this.jar.clone())
  }

  get cookieHeader(): string | undefined {
    return this.jar.header(ORIGIN)
  }

  /** A request that the test takes through its steps by itself. */
  open(): OpenRequest<Data> {
    return new OpenRequest(this.#world, this.#world.sessions.open(this.cookieHeader), this)
  }

  /** The session in a request that goes on. */
  session(): Promise<Session<Data>> {
    return this.open().session()
  }

  /** Under which key the visitor's cookie leads to something. */
  async storeKey(): Promise<string> {
    await this.session()
    return this.#world.backend.lastCall('read').key
  }

  /** A whole request. */
  async request(handler: Handler<Data>): Promise<Answer> {
    const request = this.open()
    await handler(await request.session())
    return request.answer()
  }

  /** What a request of its own sees under a key. */
  async read(key: keyof Data & string): Promise<unknown> {
    let value: unknown
    await this.request((session) => (value = session.get(key)))
    return value
  }

  store(cookie: string): void {
    this.jar.store(cookie, ORIGIN)
  }
}

/** A request between its first header and its answer's. */
export class OpenRequest<Data extends object = SessionData> {
  readonly visit: Visit<Data>
  readonly #world: World<Data>
  readonly #visitor: Visitor<Data>

  constructor(world: World<Data>, visit: Visit<Data>, visitor: Visitor<Data>) {
    this.#world = world
    this.visit = visit
    this.#visitor = visitor
  }

  session(): Promise<Session<Data>> {
    return this.visit.session()
  }

  /** Commits; the visitor's jar takes the cookies. */
  async answer(headers: Record<string, string> = {}): Promise<Answer> {
    const answer = await this.#world.sessions.commit(this.visit, (name) => headers[name])
    const [cookie, ...others] = answer.append.flatMap(([name, line]) => (name === 'set-cookie' ? [line] : []))
    for (const line of [cookie, ...others]) if (line !== undefined) this.#visitor.store(line)
    return { ...answer, cookie }
  }
}
