import { once } from 'node:events'
import { createServer } from 'node:http'
import { sessionMiddleware } from '../../../src/adapters/node.ts'
import { withAppEngineTicket } from '../../../src/backends/app-engine-memcache.ts'
import { createSessions } from '../../../src/index.ts'

const actions = {
  read: async (session) => session.get('visits') ?? [],
  visit: (session, name) => session.update('visits', (visits = []) => [...visits, name]),
  rename: async (session, name) => session.set('user', name),
  logout: (session) => session.terminate(),
}

/** A small application as App Engine would run it, which sends a ticket of its own with each request. */
export async function startApp(backend, { backendTimeout }) {
  let requests = 0
  const sessions = createSessions({
    secret: 'a secret of these tests, not of anybody else',
    backend,
    backendTimeout,
    autoSave: true,
    onEvent: () => undefined,
  })
  const middleware = sessionMiddleware(sessions)

  async function handle(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost')
    try {
      const session = await sessions.get(request)
      const answer = await actions[pathname.slice(1)](session, searchParams.get('name'))
      response.end(JSON.stringify(answer ?? null))
    } catch (error) {
      response.writeHead(error.status ?? 500).end(error.code)
    }
  }

  const server = createServer((request, response) => {
    request.headers['x-appengine-api-ticket'] = `ticket ${requests++}`
    withAppEngineTicket(request, () => middleware(request, response, () => void handle(request, response)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: (path) => `http://127.0.0.1:${server.address().port}${path}`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
      await sessions.close()
    },
  }
}
