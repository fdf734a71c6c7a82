import { headers } from 'next/headers.js'
import { connection } from 'next/server.js'
import type { Sessions } from '../sessions.js'
import { respondWith } from './fetch-response.js'
import { setCookies } from './next-cookies.js'
import { begin, beginReading } from './next-visit.js'

/**
 * Sessions for a route handler, and for the proxy: `export const POST = withSessions(sessions, async (request) => …)`, and in
 * it `sessions.get(request)`. What was changed is stored before the response begins, that of a `redirect()` too; but in the
 * proxy, where Next.js knows none, return `NextResponse.redirect()`.
 *
 * What else is thrown, `notFound()` too, Next.js answers without our cookie: what was not saved before is dropped.
 */
export function withSessions<Data extends object, Incoming extends Request, Rest extends unknown[]>(
  sessions: Sessions<Data>,
  handler: (request: Incoming, ...rest: Rest) => Response | Promise<Response>,
): (request: Incoming, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => {
    const visit = await begin(sessions)
    if (!visit) return handler(request, ...rest)
    sessions.bind(request, visit)
    return respondWith(sessions, visit, async () => {
      try {
        return await handler(request, ...rest)
      } catch (error) {
        return redirectOf(error, request)
      }
    })
  }
}

/**
 * Sessions for a server action, and in it `sessions.current()`. What was changed is stored before the action's outcome is
 * shown, whether it returns, redirects or throws. If it can't be stored, the action throws `ERR_BACKEND` instead.
 */
export function sessionAction<Data extends object, Args extends unknown[], Result>(
  sessions: Sessions<Data>,
  action: (...args: Args) => Promise<Result>,
): (...args: Args) => Promise<Result> {
  return async (...args) => {
    const visit = await begin(sessions)
    if (!visit) return action(...args)
    try {
      return await sessions.run(visit, () => action(...args))
    } finally {
      const { append } = await sessions.commit(visit, () => undefined)
      await setCookies(append.map(([, line]) => line))
    }
  }
}

/**
 * The session, for server components and for what they share with actions and route handlers. One read for each request.
 * A server component can't change it: `set` throws `ERR_COMMITTED`.
 */
export async function readSession<Data extends object>(sessions: Sessions<Data>): ReturnType<Sessions<Data>['get']> {
  // With `cacheComponents` Next.js would take a look at the clock, before anybody has come, for a mistake.
  await connection()
  const visit = await beginReading(sessions)
  visit?.headersAreSent('Next.js lets only server actions and route handlers set a cookie. Change the session there')
  const session = await sessions.get(await headers())
  // The session was used. If it is time for it, a new end is stored; the proxy or an action renews the cookie.
  if (visit) await sessions.commit(visit, () => undefined)
  return session
}

/** What Next.js makes of a `redirect()`, so that it leaves with our headers. Throws all other errors on. */
function redirectOf(error: unknown, { method, headers: sent }: Request): Response {
  const digest = String((error as { digest?: unknown } | null)?.digest)
  const [, location, status] = /^NEXT_REDIRECT;[^;]*;(.*);(\d{3});$/.exec(digest) ?? []
  if (location === undefined) throw error
  const isForm = method === 'POST' && FORM.test(sent.get('content-type') ?? '')
  return new Response(null, { status: isForm ? SEE_OTHER : Number(status), headers: { location } })
}

const FORM = /^(application\/x-www-form-urlencoded|multipart\/form-data)/
const SEE_OTHER = 303
