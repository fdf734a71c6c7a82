import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Sessions } from '../sessions.js'
import { HeldVisit } from './held-visit.js'

/** What the middleware needs of Koa's context. Koa has no types of its own, and you may have any version of them, or none. */
export interface KoaContext {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  respond?: boolean | undefined
  status: number
  body: unknown
  onerror(error: Error): void
}

/** Fits `app.use` of Koa 2 and 3. */
export type KoaMiddleware = (context: KoaContext, next: () => Promise<unknown>) => Promise<void>

/**
 * Sessions for Koa 2 and 3: `app.use(sessionMiddleware(sessions))`, before the routes; then `sessions.get(ctx)`.
 *
 * What was changed is stored when the middleware below is done, before the first byte of the response, streams included.
 * If it can't be stored, the error (`ERR_BACKEND`, `status` 503) is thrown from here, to the middleware above and to Koa's
 * `error` event, and nothing of the prepared response is left. A handler that answers by itself (`ctx.respond = false`) is
 * waited for too: its response is held until the session is stored.
 */
export function sessionMiddleware<Data extends object>(sessions: Sessions<Data>): KoaMiddleware {
  return async (context, next) => {
    // Mounted twice, say for the application and for a part of it: the outer one does the work.
    if (sessions.isBound(context)) return void (await next())
    const held = new HeldVisit(sessions, context.req, context.res, (error) => context.onerror(error as Error))
    sessions.bind(context, held.visit)
    await sessions.run(held.visit, next)
    if (context.respond === false) return
    try {
      await held.store()
    } catch (error) {
      context.body = undefined
      // What the handler chose for its own answer would be kept by middleware above that only sets a body.
      context.status = (error as { status?: number }).status ?? 500
      throw error
    }
  }
}
