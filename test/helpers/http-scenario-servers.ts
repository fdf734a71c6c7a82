import { createServer } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type express from 'express'
import type { Response } from 'express'
import { sessionMiddleware as expressMiddleware } from '../../src/adapters/express.js'
import type { NodeMiddleware, NodeRequest, NodeResponse } from '../../src/adapters/node.js'
import type { Sessions } from '../../src/index.js'
import type { ScenarioAnswer, ScenarioHandler, Serve } from '../../src/testing/http-scenario.js'
import { startGateway } from './http-gateway.js'
import { startServer } from './http-server.js'

type Mount = (sessions: Sessions) => NodeMiddleware

/** Plain `node:http`, with what people write around their handlers there: something that catches. */
export function serveHttp(mount: Mount): Serve {
  return (sessions, handler) => startServer(createServer(listener(mount, sessions, handler)))
}

/** The compatibility interface of `node:http2`, behind a gateway, since the visitors of the scenario speak HTTP/1.1. */
export function serveHttp2(mount: Mount): Serve {
  return async (sessions, handler) => {
    const inner = await startServer(createHttp2Server(listener(mount, sessions, handler)))
    const gateway = await startGateway(inner.origin)
    return {
      origin: gateway.origin,
      close: async () => {
        await gateway.close()
        await inner.close()
      },
    }
  }
}

function listener(mount: Mount, sessions: Sessions, handler: ScenarioHandler) {
  const middleware = mount(sessions)
  return (request: NodeRequest, response: NodeResponse): void => {
    middleware(request, response, () => {
      const { method = '', url = '' } = request
      handler({ method, path: url, session: () => sessions.get(request) })
        .then((answer) => send(response, answer))
        .catch((error: unknown) => {
          response.statusCode = (error as { status?: number }).status ?? 500
          response.end('Something went wrong')
        })
    })
  }
}

async function send(response: NodeResponse, { status, headers = {}, body = '' }: ScenarioAnswer): Promise<void> {
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  if (typeof body === 'string') response.end(body)
  // An iterable itself would not be told that a response of HTTP/2 was closed.
  else await pipeline(Readable.from(body), response as NodeJS.WritableStream)
}

/** Express of any version. What handlers throw goes to Express's own error handler. */
export function serveExpress(createApp: typeof express): Serve {
  return (sessions, handler) => {
    const app = createApp()
    // Its error handler then keeps the errors of these tests out of their output.
    app.set('env', 'test')
    app.use(expressMiddleware(sessions))
    app.use((request, response, next) => {
      handler({ method: request.method, path: request.path, session: () => sessions.get(request) })
        .then((answer) => sendByExpress(response, answer))
        .catch(next)
    })
    return startServer(createServer(app))
  }
}

async function sendByExpress(response: Response, { status, headers = {}, body = '' }: ScenarioAnswer): Promise<void> {
  response.set(headers)
  if (typeof body !== 'string') await pipeline(body, response.status(status))
  else if (typeof headers['location'] === 'string') response.redirect(status, headers['location'])
  else response.status(status).send(body)
}
