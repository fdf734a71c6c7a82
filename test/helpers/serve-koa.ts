import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import type Koa from 'koa'
import { sessionMiddleware } from '../../src/adapters/koa.js'
import type { Serve } from '../../src/testing/http-scenario.js'
import { type RunningServer, startServer } from './http-server.js'

/** Koa of any version, for the HTTP scenario. */
export function serveKoa(App: typeof Koa): Serve {
  return (sessions, handler) => {
    const app = new App()
    // Keeps the errors of these tests out of their output.
    app.silent = true
    app.use(sessionMiddleware(sessions))
    app.use(async (ctx) => {
      const { method, url: path } = ctx
      const { status, headers = {}, body = '' } = await handler({ method, path, session: () => sessions.get(ctx) })
      ctx.status = status
      ctx.set(headers)
      if (typeof headers['location'] === 'string') ctx.redirect(headers['location'])
      else ctx.body = typeof body === 'string' ? body : Readable.from(body)
    })
    return startKoa(app)
  }
}

export function startKoa(app: Koa): Promise<RunningServer> {
  const handle = app.callback()
  return startServer(createServer((request, response) => void handle(request, response)))
}
