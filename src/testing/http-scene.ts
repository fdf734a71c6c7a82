import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { memory } from '../backends/memory.js'
import { ConfigError, messageOf } from '../errors.js'
import type { SessionEvent } from '../events.js'
import type { Session } from '../session.js'
import { createSessions, type Sessions } from '../sessions.js'
import { type BackendCall, ForwardingBackend } from './forwarding-backend.js'

/* The stage of the HTTP scenario: a server of any framework, those who visit it, and a backend that can be watched. */

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
/** Characters, in messages. */
const SHOWN_BODY = 100

/** One server with its sessions, and those who visit it. */
export class Scene {
  readonly backend: WatchedBackend = new WatchedBackend()
  readonly events: SessionEvent[] = []
  /** What was asked and answered, for the message about what went wrong. */
  readonly log: string[] = []
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

  /** Starts the server. Pages may be added later. */
  async open(pages: Readonly<Record<string, ScenarioHandler>>): Promise<void> {
    const server: Partial<ScenarioServer> | undefined = await this.#serve(this.sessions, async (scenarioRequest) => {
      const handler = pages[scenarioRequest.path]
      return handler ? handler(scenarioRequest) : { status: 404, body: `No page ${scenarioRequest.path}` }
    })
    if (!/^https?:\/\//.test(server?.origin ?? '') || typeof server?.close !== 'function') {
      const rule = 'serve must resolve to { origin, close }, with an origin such as http://127.0.0.1:8080'
      throw new ConfigError('httpScenario()', [rule])
    }
    this.#server = server as ScenarioServer
  }

  visitor(): Visitor {
    return new Visitor(this.#server?.origin ?? '', this.log)
  }

  /** One who has a session already, which no response of the adapter had to bring. */
  async visitorWith(values: Readonly<Record<string, string>>): Promise<Visitor> {
    const visit = this.sessions.open(undefined)
    const session = await visit.session()
    for (const [key, value] of Object.entries(values)) session.set(key, value)
    const { append } = await this.sessions.commit(visit, () => undefined)
    const visitor = this.visitor()
    visitor.receive(append.map(([, line]) => line))
    this.backend.calls.length = 0
    return visitor
  }

  /** What happens to a visit whose session takes so many milliseconds to store, in order: `stored`, `head`. */
  async watch(
    visitor: Visitor,
    path: string,
    milliseconds: number,
    options: VisitOptions = {},
  ): Promise<{ reply: Reply; log: string[] }> {
    const log: string[] = []
    this.backend.writeDelay = milliseconds
    this.backend.onStored = () => log.push('stored')
    const reply = await visitor.get(path, { ...options, onHead: () => log.push('head') })
    this.backend.writeDelay = 0
    this.backend.onStored = () => undefined
    return { reply, log }
  }

  async close(): Promise<void> {
    await this.#server?.close()
  }
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly setCookies: readonly string[]
  readonly body: string
}

interface VisitOptions {
  /** Default: GET. */
  method?: string
  /** The Cookie header to send instead of one's own. */
  cookie?: string
  onHead?: () => void
  onChunk?: () => void
  /** Makes the visitor go away, however far the answer has come. */
  leave?: AbortSignal
}

/** A browser whose jar is for our cookie only: the line that arrives last wins. It does not ask for HTTPS. */
export class Visitor {
  readonly #origin: string
  readonly #log: string[]
  cookie: string | undefined

  constructor(origin: string, log: string[], cookie?: string) {
    this.#origin = origin
    this.#log = log
    this.cookie = cookie
  }

  /** Whoever holds the same cookie, now or from now on. */
  clone(): Visitor {
    return new Visitor(this.#origin, this.#log, this.cookie)
  }

  receive(setCookies: readonly string[]): void {
    for (const line of setCookies.filter(isOurs)) this.cookie = /^[^=]*=([^;]+)/.exec(line)?.[1]
  }

  async get(path: string, options: VisitOptions = {}): Promise<Reply> {
    const asked = `${options.method ?? 'GET'} ${path}${(options.cookie ?? this.cookie) === undefined ? '' : ' with a cookie'}`
    try {
      const reply = await this.#visit(path, options)
      this.#log.push(`${asked}: ${described(reply)}`)
      return reply
    } catch (error) {
      this.#log.push(`${asked}: ${messageOf(error)}`)
      throw error
    }
  }

  async #visit(path: string, options: VisitOptions): Promise<Reply> {
    const { method = 'GET', cookie = this.cookie && `${COOKIE_NAME}=${this.cookie}`, onHead, onChunk, leave } = options
    const outgoing = request(new URL(path, this.#origin), {
      agent: false,
      method,
      headers: cookie === undefined ? {} : { cookie: Buffer.from(cookie).toString('latin1') },
    })
    outgoing.setTimeout(PATIENCE, () => outgoing.destroy(new Error(`No answer to ${path} in ${PATIENCE} ms`)))
    leave?.addEventListener('abort', () => outgoing.destroy(new Error('The visitor went away')))
    // Once the answer has begun, what is wrong with it is found by reading it.
    outgoing.on('error', () => undefined)
    outgoing.end()
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    onHead?.()
    // workerd's node:http joins them to one line, with commas.
    const lines = [incoming.headers['set-cookie'] ?? []].flat()
    const setCookies = lines.flatMap((line) => line.split(/, (?=[^\s;,]+=)/))
    // Before the body, as in a browser: an answer that breaks off has set its cookies all the same.
    this.receive(setCookies)
    let body = ''
    for await (const chunk of incoming.setEncoding('utf8')) {
      body += String(chunk)
      onChunk?.()
    }
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, setCookies, body }
  }
}

function described({ status, headers, setCookies, body }: Reply): string {
  const names = setCookies.map((line) => line.split('=', 1)[0])
  const location = headers.location === undefined ? [] : [`Location ${headers.location}`]
  const cookies = names.length > 0 ? [`Set-Cookie for ${names.join(', ')}`] : []
  return [status, ...location, ...cookies, JSON.stringify(body.slice(0, SHOWN_BODY))].join(', ')
}

/** A real backend that can be watched, slowed down and cut off. */
export class WatchedBackend extends ForwardingBackend {
  readonly calls: string[] = []
  /** Milliseconds, at least. */
  writeDelay = 0
  isDown = false
  onStored: () => void = () => undefined

  constructor() {
    super(memory())
  }

  protected async around<T>({ operation }: BackendCall, run: () => Promise<T>): Promise<T> {
    const isWrite = operation !== 'read'
    // Step by step, so that what arrives meanwhile is noticed however busy the machine is.
    if (isWrite) for (let waited = 0; waited < this.writeDelay; waited++) await sleep(1)
    this.calls.push(operation)
    if (this.isDown) throw new Error('The backend was cut off on purpose')
    const outcome = await run()
    if (isWrite) this.onStored()
    return outcome
  }
}

export function isOurs(setCookie: string): boolean {
  return setCookie.startsWith(`${COOKIE_NAME}=`)
}
