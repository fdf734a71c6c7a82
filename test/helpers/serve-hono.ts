import { Readable } from 'node:stream'
import { Hono } from 'hono'
import { sessionMiddleware } from '../../src/adapters/hono.js'
import type { ScenarioHandler } from '../../src/testing/http-scenario.js'
import type { Sessions } from '../../src/index.js'

/** A Hono application for the HTTP scenario, with Hono's own error handler. */
export function honoApp(sessions: Sessions, handler: ScenarioHandler): Hono {
  const app = new Hono()
  app.use(sessionMiddleware(sessions))
  app.all('*', async (c) => {
    const { method, path } = c.req
    const { status, headers = {}, body = '' } = await handler({ method, path, session: () => sessions.get(c) })
    for (const [name, value] of Object.entries(headers)) {
      for (const item of [value].flat()) c.header(name, item, { append: true })
    }
    if (typeof headers['location'] === 'string') return c.redirect(headers['location'], status as 302)
    return c.body(
      typeof body === 'string' ? body : (Readable.toWeb(Readable.from(body)) as ReadableStream),
      status as 200,
    )
  })
  return app
}
