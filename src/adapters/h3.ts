import type { H3Event, Middleware } from 'h3'
import type { Sessions, Visit } from '../sessions.js'

/**
 * Sessions for h3 2 and Nitro: `app.use(sessionMiddleware(sessions))`, before the routes; in Nitro the default export of a
 * file in `server/middleware`. Then `sessions.get(event)`.
 *
 * What was changed is stored when the handler is done, before the first byte of the response, streams included. If it can't
 * be stored, h3 gets the error (`ERR_BACKEND`, 503; the `cause` of what `onError` sees), and nothing of the prepared
 * response is left. Let `onError` return what a handler would, but no `Response`: h3 adds no headers to that, not ours either.
 */
export function sessionMiddleware<Data extends object>(sessions: Sessions<Data>): Middleware {
  return async (event, next) => {
    // Mounted twice, say for the application and for a part of it: the outer one does the work.
    if (sessions.isBound(event)) return next()
    const visit = sessions.open(event.req.headers.get('cookie') ?? undefined)
    sessions.bind(event, visit)
    sessions.bind(event.req, visit)
    let answer: unknown
    try {
      answer = await sessions.run(visit, next)
      return answer
    } finally {
      // However it ends: the answer to an error carries the cookie too.
      await commit(sessions, visit, event, answer)
    }
  }
}

async function commit<Data extends object>(
  sessions: Sessions<Data>,
  visit: Visit<Data>,
  { res }: H3Event,
  answer: unknown,
): Promise<void> {
  const own = (answer as { headers?: unknown } | null | undefined)?.headers
  const read = (name: string): string | null => res.headers.get(name) ?? (own instanceof Headers ? own.get(name) : null)
  // h3 takes the ones or the others, depending on the answer's status and on who makes it.
  const prepared = [res.headers, res.errHeaders]
  try {
    const { set, append } = await sessions.commit(visit, (name) => read(name) ?? undefined)
    for (const headers of prepared) {
      for (const [name, value] of set) headers.set(name, value)
      for (const [name, value] of append) headers.append(name, value)
    }
  } catch (error) {
    for (const headers of prepared) clear(headers)
    // What the handler chose for its own answer would be kept by an `onError` that chooses none.
    res.status = (error as { status?: number }).status ?? 500
    delete res.statusText
    const body = answer instanceof Response ? answer.body : answer
    // Tells the maker of a stream that nobody will read it.
    if (body instanceof ReadableStream) body.cancel().catch(() => undefined)
    throw error
  }
}

function clear(headers: Headers): void {
  const names = [...headers.keys()]
  for (const name of names) headers.delete(name)
}
