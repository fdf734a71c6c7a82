import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { memory } from '../backends/memory.js'
import type { SessionEvent } from '../events.js'
import type { Session } from '../session.js'
import { createSessions, type Sessions } from '../sessions.js'
import { type BackendCall, ForwardingBackend } from './forwarding-backend.js'

/*
 * The stage of the HTTP scenario: a server of any framework, those who visit it, a backend that can be watched, and the
 * pages they act on.
 */

/** What a handler of the scenario sees of a request. */
export interface ScenarioRequest {
  readonly method: string
  readonly path: string
  /** The adapter's way to the session, for example `() => sessions.get(req)`. */
  readonly session: () => Promise<Session>
}

/** What a handler of the scenario wants answered. */
export interface ScenarioAnswer {
  readonly status: number
  /** A list stands for several headers of the same name. */
  readonly headers?: Readonly<Record<string, string | string[]>>
  /** A text at once, or one piece after the other. */
  readonly body?: string | AsyncIterable<string>
}

export type ScenarioHandler = (request: ScenarioRequest) => Promise<ScenarioAnswer>

export interface ScenarioServer {
  /** For example `http://127.0.0.1:8080`. */
  readonly origin: string
  /** Stops the server, whatever connections there still are. */
  readonly close: () => Promise<void>
}

/**
 * Starts a server of the framework with the adapter mounted, which answers every request as `handler` says, with the
 * framework's own means. What `handler` throws must reach the framework's error handling.
 */
export type Serve = (sessions: Sessions, handler: ScenarioHandler) => Promise<ScenarioServer>

export const COOKIE_NAME = 'vishnu'
const PATIENCE = 15_000

/** One server with its sessions, and those who visit it. */
export class Scene {
  readonly backend: WatchedBackend = new WatchedBackend()
  readonly events: SessionEvent[] = []
  readonly sessions: Sessions
  readonly #serve: Serve
  #server: ScenarioServer | undefined

  constructor(serve: Serve) {
    this.#serve = serve
    this.sessions = createSessions({
      secret: 'a secret for tests, and for nothing else',
      cookieName: COOKIE_NAME,
      backend: this.backend,
      autoSave: true,
      onEvent: (event) => this.events.push(event),
    })
  }

  async open(pages: Readonly<Record<string, ScenarioHandler>>): Promise<void> {
    this.#server = await this.#serve(this.sessions, async (scenarioRequest) => {
      const handler = pages[scenarioRequest.path]
      return handler ? handler(scenarioRequest) : { status: 404, body: `No page ${scenarioRequest.path}` }
    })
  }

  visitor(): Visitor {
    return new Visitor(this.#server?.origin ?? '')
  }

  async close(): Promise<void> {
    await this.#server?.close()
  }
}

interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly setCookies: readonly string[]
  readonly body: string
}

interface VisitOptions {
  /** The Cookie header to send instead of one's own. */
  cookie?: string
  onHead?: () => void
  onChunk?: () => void
}

/** A browser that knows one cookie, and sends it without asking for HTTPS. */
export class Visitor {
  readonly #origin: string
  cookie: string | undefined

  constructor(origin: string, cookie?: string) {
    this.#origin = origin
    this.cookie = cookie
  }

  /** Whoever holds the same cookie, now or from now on. */
  clone(): Visitor {
    return new Visitor(this.#origin, this.cookie)
  }

  async get(path: string, options: VisitOptions = {}): Promise<Reply> {
    const { cookie = this.cookie && `${COOKIE_NAME}=${this.cookie}`, onHead, onChunk } = options
    const outgoing = request(new URL(path, this.#origin), {
      agent: false,
      headers: cookie === undefined ? {} : { cookie: Buffer.from(cookie).toString('latin1') },
    })
    outgoing.setTimeout(PATIENCE, () => outgoing.destroy(new Error(`No answer to ${path} in ${PATIENCE} ms`)))
    outgoing.end()
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    onHead?.()
    let body = ''
    for await (const chunk of incoming.setEncoding('utf8')) {
      body += String(chunk)
      onChunk?.()
    }
    // workerd's node:http joins them to one line, with commas.
    const lines = [incoming.headers['set-cookie'] ?? []].flat()
    const setCookies = lines.flatMap((line) => line.split(/, (?=[^\s;,]+=)/))
    for (const line of setCookies.filter(isOurs)) this.cookie = /^[^=]*=([^;]+)/.exec(line)?.[1]
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, setCookies, body }
  }
}

/** A real backend that can be watched, slowed down and cut off. */
export class WatchedBackend extends ForwardingBackend {
  readonly calls: string[] = []
  /** Milliseconds. */
  writeDelay = 0
  isDown = false
  onStored: () => void = () => undefined

  constructor() {
    super(memory())
  }

  protected async around<T>({ operation }: BackendCall, run: () => Promise<T>): Promise<T> {
    const isWrite = operation !== 'read'
    if (isWrite && this.writeDelay > 0) await sleep(this.writeDelay)
    this.calls.push(operation)
    if (this.isDown) throw new Error('The backend was cut off on purpose')
    const outcome = await run()
    if (isWrite) this.onStored()
    return outcome
  }
}

export function page(body: string): ScenarioHandler {
  return async () => ({ status: 200, body })
}

/** A page that does something with the session before it answers. */
export function change(
  act: (session: Session) => unknown,
  answer: ScenarioAnswer | (() => ScenarioAnswer | Promise<ScenarioAnswer>) = { status: 200 },
): ScenarioHandler {
  return async ({ session }) => {
    await act(await session())
    return typeof answer === 'function' ? answer() : answer
  }
}

export function set(key: string, value: string): ScenarioHandler {
  return change((session) => session.set(key, value))
}

/** A page that shows values of the session, each `nothing` if there is none. */
export function show(...keys: string[]): ScenarioHandler {
  return async ({ session }) => {
    const mine = await session()
    return { status: 200, body: keys.map((key) => textOf(mine.get(key))).join(' ') }
  }
}

/** A page that has read its session when `arrived` opens, and changes it when `go` does. */
export function slowly(arrived: Latch, go: Latch, act: (session: Session) => void): ScenarioHandler {
  return change(async (session) => {
    arrived.open()
    await go.opened
    act(session)
  })
}

export async function* pieces(...texts: string[]): AsyncIterable<string> {
  yield* texts
}

/** A body of two pieces, the second made only when the first has arrived. */
export async function* piecesAfter(begun: Latch, second: () => unknown): AsyncIterable<string> {
  yield 'begun '
  await begun.opened
  yield textOf(await second())
}

export interface Latch {
  readonly opened: Promise<void>
  readonly open: () => void
}

export function latch(): Latch {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

/** Resolves for each who comes when all have come. */
export function meetingOf(size: number): () => Promise<void> {
  const everybody = latch()
  let missing = size
  return () => {
    missing -= 1
    if (missing === 0) everybody.open()
    return everybody.opened
  }
}

export async function codeOf(act: () => unknown): Promise<string> {
  try {
    await act()
    return 'no error'
  } catch (error) {
    return String((error as { code?: unknown }).code)
  }
}

export function isOurs(setCookie: string): boolean {
  return setCookie.startsWith(`${COOKIE_NAME}=`)
}

export function listOf(header: string | undefined): string[] {
  return header?.split(',').map((item) => item.trim().toLowerCase()) ?? []
}

/** A value as pages show it. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : 'nothing'
}
