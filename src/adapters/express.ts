import type { Sessions } from '../sessions.js'
import type { NodeMiddleware } from './node.js'
import { handle } from './node-request.js'

/**
 * Sessions for Express 4 and 5: `app.use(sessionMiddleware(sessions))`, before the routes. Works on plain `node:http` too.
 *
 * An error that comes up when the response is already complete, a session that could not be stored, goes to the
 * application's error handler, as any error of a route does.
 */
export function sessionMiddleware<Data extends object>(sessions: Sessions<Data>): NodeMiddleware {
  return (request, response, next) => {
    // Outside of Express `next` is the handler itself: calling it once more would handle the request twice.
    const isExpress = typeof (response as { app?: unknown }).app === 'function'
    handle(sessions, request, response, next, isExpress ? next : undefined)
  }
}
