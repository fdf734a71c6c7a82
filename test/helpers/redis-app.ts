import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sessionMiddleware } from '../../src/adapters/express.js'
import type { Backend } from '../../src/backend.js'
import { createSessions, type Sessions } from '../../src/sessions.js'
import type { Session } from '../../src/session.js'

export interface AppData {
  visits: string[]
  user: string
}

export interface App {
  readonly url: (path: string) => string
  /** The codes of all errors that the application caught or was told of. */
  readonly codes: Set<string>
  /** Milliseconds that opening a session, a verb or a commit took at most. */
  readonly longestStep: () => number
  readonly close: () => Promise<void>
}

/** A small application on plain node:http: what a visitor can do is one verb of a session each. */
export async function startApp(backend: Backend, { backendTimeout }: { backendTimeout: number }): Promise<App> {
  const codes = new Set<string>()
  let longestStep = 0
  async function step<T>(work: Promise<T>): Promise<T> {
    const start = performance.now()
    try {
      return await work
    } finally {
      longestStep = Math.max(longestStep, performance.now() - start)
    }
  }
  const sessions: Sessions<AppData> = createSessions<AppData>({
    secret: 'a secret of these tests, not of anybody else',
    backend,
    backendTimeout,
    autoSave: true,
    onEvent: ({ type, cause }) => {
      if (type === 'backendError') codes.add(codeOf(cause))
    },
  })
  const middleware = sessionMiddleware(sessions)

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
    const argument = searchParams.get('argument') ?? ''
    let body: string
    try {
      const session = await step(sessions.get(request))
      body = JSON.stringify((await step(actions[pathname.slice(1)]!(session, argument))) ?? null)
    } catch (error) {
      codes.add(codeOf(error))
      response.statusCode = (error as { status?: number }).status ?? 500
      body = codeOf(error)
    }
    const sent = once(response, 'close')
    response.end(body)
    await step(sent)
  }

  const server = createServer((request, response) => {
    middleware(request, response, () => void handle(request, response))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: (path) => `http://127.0.0.1:${port}${path}`,
    codes,
    longestStep: () => longestStep,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
      await sessions.close()
    },
  }
}

const actions: Record<string, (session: Session<AppData>, argument: string) => Promise<unknown>> = {
  read: async (session) => ({ visits: session.get('visits'), user: session.get('user') }),
  visit: (session, token) => session.update('visits', (visits = []) => [...visits, token]),
  rename: async (session, user) => session.set('user', user),
  login: async (session, user) => {
    session.regenerate({ authenticated: true })
    session.set('user', user)
  },
  logout: (session) => session.terminate(),
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error)
}
