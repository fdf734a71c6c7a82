import type { Context, MiddlewareHandler } from 'hono'
import { SessionError } from '../errors.js'
import type { Sessions } from '../sessions.js'

/** Hono's own error handler answers all errors with this, whatever their status, but for its `HTTPException`. */
const UNKNOWN_ERROR = 500

/**
 * Sessions for Hono 4 on every runtime: `app.use(sessionMiddleware(sessions))`, before the routes; then `sessions.get(c)`.
 *
 * What was changed is stored when the middleware below is done, before the first byte of the response, streams included.
 * If it can't be stored, `app.onError` gets the error (`ERR_BACKEND`, `status` 503), and nothing of the prepared response is
 * left. Without an error handler of yours, and where yours answers 500, our errors are answered with their own status.
 */
export function sessionMiddleware<Data extends object>(sessions: Sessions<Data>): MiddlewareHandler {
  return async (c, next) => {
    // Mounted twice, say for the application and for a part of it: the outer one does the work.
    if (sessions.isBound(c)) return next()
    const visit = sessions.open(c.req.header('cookie'))
    sessions.bind(c, visit)
    sessions.bind(c.req.raw, visit)
    await sessions.run(visit, next)
    if (c.error instanceof SessionError && c.res.status === UNKNOWN_ERROR) {
      c.res = new Response(c.res.body, { status: c.error.status, headers: c.res.headers })
    }
    try {
      const headers = await sessions.commit(visit, (name) => c.res.headers.get(name) ?? undefined)
      for (const [name, value] of headers.set) c.header(name, value)
      for (const [name, value] of headers.append) c.header(name, value, { append: true })
    } catch (error) {
      discardResponse(c)
      // This is how Hono's own error handler learns of a status.
      const getResponse = (): Response => c.text('Service Unavailable', 503)
      throw error instanceof SessionError && error.status === 503 ? Object.assign(error, { getResponse }) : error
    }
  }
}

/** Hono adds to the error handler's headers those of the response there is, and those prepared by `c.header()`. */
function discardResponse(c: Context): void {
  // Tells the maker of a stream that nobody will read it.
  c.res.body?.cancel().catch(() => undefined)
  c.res = undefined
  // Without a response Hono makes one of what was prepared.
  const prepared = [...c.res.headers.keys()]
  c.res = undefined
  c.finalized = false
  for (const name of prepared) c.header(name)
}
