import { ConfigError } from '../errors.js'
import type { Sessions } from '../sessions.js'
import { respondWith, withStatus } from './fetch-response.js'

export type { RouterSession } from './react-router-session.js'
export { type RouterSessionStorage, sessionStorage } from './react-router-storage.js'

/** A middleware of a route that runs on the server, as React Router types it. */
export type RouteMiddleware = (
  args: { readonly request: Request; readonly context: object },
  next: () => Promise<Response>,
) => Promise<Response>

/**
 * Sessions for React Router 8, and for 7.9 and later with `future: { v8_middleware: true }`: in `root.tsx`,
 * `export const middleware = [sessionMiddleware(sessions)]`; then `sessions.get(context)` in loaders, actions and middleware.
 *
 * What they changed is stored before the first byte of the response, streams included, also if they throw. If it can't be
 * stored, a plain 503 takes the response's place, and a client navigation shows the `ErrorBoundary`. Where a loader or an
 * action has met an error of ours and the answer is 500, it gets the error's status: 503 for an outage. When the visitor goes
 * away React Router waits for nobody: what is set after that throws `ERR_COMMITTED`, and `update` still works.
 */
export function sessionMiddleware<Data extends object>(sessions: Sessions<Data>): RouteMiddleware {
  return async ({ request, context }, next) => {
    // Mounted twice, say in the root and in a layout: the outer one does the work.
    if (sessions.isBound(request)) return next()
    // Whoever is handed another visitor's context would find the session of that visitor.
    if (sessions.isBound(context)) throw new ConfigError('sessionMiddleware()', [SHARED_CONTEXT])
    const visit = sessions.open(request.headers.get('cookie') ?? undefined)
    sessions.bind(request, visit)
    sessions.bind(context, visit)
    return respondWith(sessions, visit, async () => withStatus(await next(), visit))
  }
}

const SHARED_CONTEXT =
  'the context is that of another request: getLoadContext must return a new RouterContextProvider for each'
