import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { expect, onTestFinished } from 'vitest'
import { type NodeMiddleware, sessionMiddleware } from '../../src/adapters/node.js'
import { createSessions, type Session, type SessionEvent, type Sessions } from '../../src/index.js'
import { Browser } from './browser.js'
import { ParkingBackend } from './http-parking.js'
import { startServer } from './http-server.js'
import { Wire } from './http-wire.js'

export type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void
export type Respond = (response: ServerResponse, request: IncomingMessage, session: Session) => unknown

const secret = 'a secret for tests, and for nothing else'

export function parkedSessions(cookieName = 'vishnu'): {
  sessions: Sessions
  store: ParkingBackend
  events: SessionEvent[]
} {
  const store = new ParkingBackend()
  const events: SessionEvent[] = []
  const sessions = createSessions({
    secret,
    cookieName,
    backend: store,
    autoSave: true,
    // A test parks writes for as long as it takes to look around.
    backendTimeout: 60_000,
    onEvent: (event) => events.push(event),
  })
  return { sessions, store, events }
}

export interface Stage {
  readonly origin: string
  readonly port: number
  readonly sessions: Sessions
  readonly store: ParkingBackend
  readonly events: SessionEvent[]
  /** What handlers threw. Fails the test at its end, unless the test takes it out. */
  readonly errors: unknown[]
  /** A bare connection with one request on it. */
  readonly ask: (method?: string, path?: string, ...headers: string[]) => Promise<Wire>
  /** Resolves once a response waits for its session, and other requests have come and gone meanwhile. */
  readonly held: (wire: Wire) => Promise<void>
}

/**
 * A plain `node:http` server on a backend that can be parked. Every request sets `path` in its session and then answers as
 * `respond` says, except for `/ping`, which asks for no session, and `/read`, which answers with `path` as it was stored.
 */
export async function stage(
  respond: Respond,
  middleware: (sessions: Sessions) => (Middleware | NodeMiddleware)[] = (sessions) => [sessionMiddleware(sessions)],
): Promise<Stage> {
  const { sessions, store, events } = parkedSessions()
  const errors: unknown[] = []
  const chain = middleware(sessions)

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '' } = request
    if (url === '/ping') return void response.end('pong')
    const session = await sessions.get(request)
    if (url === '/read') return void response.end(String(session.get('path')))
    session.set('path', url)
    await respond(response, request, session)
  }
  const server = createServer((request, response) => {
    const next = (index: number): void => {
      const current = chain[index]
      if (current) current(request, response, () => next(index + 1))
      else handle(request, response).catch((error: unknown) => errors.push(error))
    }
    next(0)
  })
  const { origin, port, close } = await startServer(server)
  onTestFinished(async () => {
    store.release()
    await close()
    expect(errors).toEqual([])
  })

  return {
    origin,
    port,
    sessions,
    store,
    events,
    errors,
    ask: async (method = 'GET', path = '/', ...headers) => {
      const wire = await Wire.dial(port)
      onTestFinished(() => wire.abort())
      wire.request(method, path, ...headers)
      return wire
    },
    held: async (wire) => {
      await store.parked
      for (let turn = 0; turn < 3; turn++) expect((await new Browser().get(`${origin}/ping`)).body).toBe('pong')
      expect(wire.text).toBe('')
    },
  }
}
