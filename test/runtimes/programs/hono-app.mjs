import { Hono } from 'hono'
import { sessionMiddleware } from 'vishnu/hono'
import { streamOf } from './fetch-app.mjs'

/** A Hono application that answers as a handler of the HTTP scenario wants it. */
export function honoApp(sessions, handler) {
  const app = new Hono()
  app.use(sessionMiddleware(sessions))
  app.all('*', async (c) => {
    const { method, path } = c.req
    const { status, headers = {}, body = '' } = await handler({ method, path, session: () => sessions.get(c) })
    for (const [name, value] of Object.entries(headers)) {
      for (const item of [value].flat()) c.header(name, item, { append: true })
    }
    if (typeof headers.location === 'string') return c.redirect(headers.location, status)
    return c.body(typeof body === 'string' ? body : streamOf(body), status)
  })
  return app
}
