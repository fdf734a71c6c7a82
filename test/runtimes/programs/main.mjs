// Runs one task on Node, Bun or Deno: `main.mjs '{"task":"laws","backend":"memory"}'` prints its outcome as JSON.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { join } from 'node:path'
import process from 'node:process'
import { pipeline } from 'node:stream/promises'
import { fetchApp } from './fetch-app.mjs'
import { perform } from './tasks.mjs'

const { Bun, Deno } = globalThis

const newFile = () => join(process.cwd(), `${randomUUID()}.sqlite`)

const backends = {
  memory: async () => (await import('vishnu/backends/memory')).memory,
  sqlite: async () => {
    const { sqlite } = await import('vishnu/backends/sqlite')
    const file = newFile()
    return () => sqlite({ file })
  },
  'empty sqlite': async () => {
    const { sqlite } = await import('vishnu/backends/sqlite')
    return () => sqlite({ file: newFile() })
  },
  // Bun has two drivers: this is the one that sqlite() does not choose there.
  'sqlite of node:sqlite': async () => {
    const { sqlite } = await import('vishnu/backends/sqlite')
    const { DatabaseSync } = await import('node:sqlite')
    const database = new DatabaseSync(':memory:')
    return () => sqlite({ database })
  },
  redis: async () => {
    const { redis } = await import('vishnu/backends/redis')
    return () => redis({ host: '127.0.0.1', port: Number(process.env.REDIS_PORT) })
  },
}

const servers = {
  'node:http': async (sessions, handler) => {
    const { sessionMiddleware } = await import('vishnu/node')
    const middleware = sessionMiddleware(sessions)
    return listen((request, response) => {
      middleware(request, response, () => {
        handler({ method: request.method, path: request.url, session: () => sessions.get(request) })
          .then((answer) => send(response, answer))
          .catch(({ status = 500 }) => {
            response.statusCode = status
            response.end('Something went wrong')
          })
      })
    })
  },
  Express: async (sessions, handler) => {
    const [{ default: express }, { sessionMiddleware }] = [await import('express'), await import('vishnu/express')]
    const app = express()
    // Its error handler then keeps the errors of these tests out of the output.
    app.set('env', 'test')
    app.use(sessionMiddleware(sessions))
    app.use((request, response, next) => {
      handler({ method: request.method, path: request.path, session: () => sessions.get(request) })
        .then((answer) => send(response, answer))
        .catch(next)
    })
    return listen(app)
  },
  'Bun.serve': async (sessions, handler) => serveFetch(fetchApp(sessions, handler)),
  'Deno.serve': async (sessions, handler) => serveFetch(fetchApp(sessions, handler)),
  // By the runtime's own server, as its users do.
  Hono: async (sessions, handler) => {
    const { honoApp } = await import('./hono-app.mjs')
    return serveFetch(honoApp(sessions, handler).fetch)
  },
  Elysia: async (sessions, handler) => {
    const { elysiaApp } = await import('./elysia-app.mjs')
    const app = elysiaApp(sessions, handler).listen({ port: 0, hostname: '127.0.0.1' })
    return { origin: `http://127.0.0.1:${app.server.port}`, close: () => app.stop(true) }
  },
}

function serveFetch(fetch) {
  const address = { port: 0, hostname: '127.0.0.1' }
  if (Bun) {
    const server = Bun.serve({ ...address, fetch })
    return { origin: `http://127.0.0.1:${server.port}`, close: () => server.stop(true) }
  }
  const stop = new AbortController()
  const server = Deno.serve({ ...address, signal: stop.signal, onListen: () => undefined }, (request) => fetch(request))
  const close = async () => {
    stop.abort()
    await server.finished
  }
  return { origin: `http://127.0.0.1:${server.addr.port}`, close }
}

async function listen(listener) {
  const server = createServer(listener)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { origin: `http://127.0.0.1:${server.address().port}`, close }
}

async function send(response, { status, headers = {}, body = '' }) {
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  if (typeof body === 'string') response.end(body)
  else await pipeline(body, response)
}

const platform = { backend: (name) => backends[name](), serve: (name) => servers[name] }
const outcome = await perform(JSON.parse(process.argv[2]), platform)
process.stdout.write(`${JSON.stringify(outcome)}\n`)
