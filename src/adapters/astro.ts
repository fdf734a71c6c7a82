import { AsyncLocalStorage } from 'node:async_hooks'
import { ConfigError } from '../errors.js'
import type { Sessions, Visit } from '../sessions.js'
import { prerenderedError, respondWith, withStatus } from './fetch-response.js'

/** What this adapter uses of Astro's `APIContext`. */
export interface AstroContext {
  request: Request
  locals: object
  isPrerendered: boolean
}

/** A middleware of Astro. */
export type SessionMiddleware = (context: AstroContext, next: () => Promise<Response>) => Promise<Response>

/** A request, and the error page that may follow it. */
interface Turn<Data extends object> {
  visit: Visit<Data>
  isAnswered: boolean
}

/**
 * Sessions for Astro 5 and later: `export const onRequest = sessionMiddleware(sessions)` in `src/middleware.ts`, or the first
 * of a `sequence()`. Then `sessions.get(locals)` in pages, components, endpoints and actions; or `locals.session()`, once
 * your `App.Locals` has it.
 *
 * What pages, endpoints and actions change is stored before the first byte of the response. Components are rendered while
 * it is being sent: they can read the session, and a change that comes too late throws `ERR_COMMITTED`. If the session can't
 * be read or stored, a plain 503 takes the response's place. Pages that are prerendered have no session.
 */
export function sessionMiddleware<Data extends object>(sessions: Sessions<Data>): SessionMiddleware {
  const TURN: unique symbol = Symbol('vishnu.turn')
  type Bound = object & { [TURN]?: Turn<Data> }
  const ongoing = new AsyncLocalStorage<Turn<Data>>()

  return async (context, next) => {
    const { request, locals }: { request: Bound; locals: Bound } = context
    const outer = ongoing.getStore()
    // An error page comes after the request that it answers, with the same `Request`.
    const turn = outer ?? (request[TURN] ??= { visit: open(context), isAnswered: false })
    // Nobody had asked for the session, so nothing of it has left: the error page has a visit of its own.
    if (turn.isAnswered && !turn.visit.consulted) Object.assign(turn, { visit: open(context), isAnswered: false })
    const { visit } = turn
    // Whoever is handed another visitor's locals would find the session of that visitor.
    if ((locals[TURN] ??= turn) !== turn) throw new ConfigError('sessionMiddleware()', [SHARED_LOCALS])
    for (const key of [context, locals]) sessions.bind(key, visit)
    Object.assign(locals, { session: async () => visit.session() })
    // A rewrite, or mounted twice: the outer one does the work.
    if (outer) return next()
    const answer = async (): Promise<Response> => withStatus(await ongoing.run(turn, next), visit)
    // Of a page that was not found Astro keeps the headers; of one that threw there are none.
    if (turn.isAnswered) return sessions.run(visit, answer)
    const response = await respondWith(sessions, visit, answer)
    turn.isAnswered = true
    return response
  }

  function open({ request, isPrerendered }: AstroContext): Visit<Data> {
    // Astro warns of whoever reads the headers of a prerendered page.
    if (isPrerendered) return sessions.open(undefined, { onUse: refuse })
    return sessions.open(request.headers.get('cookie') ?? undefined)
  }
}

const SHARED_LOCALS = 'the locals are those of another request: give the handler of @astrojs/node new ones each time'

function refuse(): never {
  throw prerenderedError()
}
