import { Elysia } from 'elysia'
import type { Sessions, Visit } from '../sessions.js'
import { withHeaders } from './fetch-response.js'

type Fetch = (request: Request, ...rest: unknown[]) => Response | undefined | Promise<Response | undefined>

/** Elysia takes plugins of the same name and seed for one. */
let plugins = 0

/**
 * Sessions for Elysia on every runtime: `app.use(sessionPlugin(sessions))`, before the routes; then
 * `sessions.get(request)`.
 *
 * What was changed is stored when the handler is done, before the first byte of the response, streams included. If it can't
 * be stored, `onError` gets the error (`code` `ERR_BACKEND`, `status` 503), and nothing of the prepared response is left.
 */
export function sessionPlugin<Data extends object>(sessions: Sessions<Data>): Elysia {
  // Of this plugin's own: the same request may pass several of them.
  const VISIT: unique symbol = Symbol('vishnu.visit')
  const FAILED: unique symbol = Symbol('vishnu.failed')
  type Bound = Request & { [VISIT]?: Visit<Data>; [FAILED]?: boolean }

  async function serve(fetch: Fetch, request: Bound, rest: unknown[]): Promise<Response | undefined> {
    const visit = sessions.open(request.headers.get('cookie') ?? undefined)
    sessions.bind(request, visit)
    request[VISIT] = visit
    const response = await sessions.run(visit, () => fetch(request, ...rest))
    // There is none where a WebSocket begins.
    if (!response || request[FAILED]) return response
    try {
      return withHeaders(response, await sessions.commit(visit, (name) => response.headers.get(name) ?? undefined))
    } catch (error) {
      // Reported already; and the error handler has had its say, about the error that the handler threw.
      const { status = 500 } = error as { status?: number }
      return new Response('The session could not be stored\n', { status, headers: { 'cache-control': 'no-store' } })
    }
  }

  return new Elysia({ name: 'vishnu', seed: plugins++ })
    .wrap((fetch) => (request: Request, ...rest: unknown[]) => {
      const next = fetch as unknown as Fetch
      // Used twice, say for the application and for a part of it: the outer one does the work.
      return sessions.isBound(request) ? next(request, ...rest) : serve(next, request, rest)
    })
    .onAfterHandle({ as: 'global' }, async ({ request, set }) => {
      const visit = (request as Bound)[VISIT]
      if (!visit?.consulted) return
      try {
        // Its headers are those of the response that is made in the end: an error's too.
        await sessions.commit(visit, () => undefined)
      } catch (error) {
        Object.assign(request, { [FAILED]: true })
        Object.assign(set, { headers: {}, cookie: {}, status: 200, redirect: undefined })
        throw error
      }
    })
}
