import { headers } from 'next/headers.js'
import { ConfigError } from '../errors.js'
import type { Sessions, Visit } from '../sessions.js'
import { respondWith } from './fetch-response.js'
import { setCookies } from './next-cookies.js'

/**
 * Sessions for a route handler, and for the proxy: `export const POST = withSessions(sessions, async (request) => …)`, and in
 * it `sessions.get(request)`. What was changed is stored before the response begins, and before a `redirect()` is answered.
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
    const redirects: unknown[] = []
    const response = await respondWith(sessions, visit, async () => {
      try {
        return await handler(request, ...rest)
      } catch (error) {
        if (!isRedirect(error)) throw error
        redirects.push(error)
        return new Response()
      }
    })
    if (redirects.length === 0 || !response.ok) return response
    await setCookies(response.headers.getSetCookie())
    throw redirects[0]
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
  const visit = await begin(sessions)
  visit?.headersAreSent('Next.js lets only server actions and route handlers set a cookie. Change the session there')
  const session = await sessions.get(await headers())
  // The session was used. If it is time for it, a new end is stored; the proxy or an action renews the cookie.
  if (visit) await sessions.commit(visit, () => undefined)
  return session
}

/** The visit, unless the request has one: `headers()` is the same object in an action and in the rendering after it. */
async function begin<Data extends object>(sessions: Sessions<Data>): Promise<Visit<Data> | undefined> {
  // First of all: this is where Next.js leaves a page that it tries to render when it builds the application.
  const request = await headers()
  if (sessions.areLocal && process.env['NODE_ENV'] === 'production')
    throw new ConfigError('vishnu/next', [LOCAL_BACKEND])
  if (sessions.isBound(request)) return undefined
  const visit = sessions.open(request.get('cookie') ?? undefined)
  sessions.bind(request, visit)
  return visit
}

const LOCAL_BACKEND =
  "memory() is for development only: Next.js may load an application's code several times, each with a memory of its own. Use redis() or sqlite()"

function isRedirect(error: unknown): boolean {
  return String((error as { digest?: unknown } | null)?.digest).startsWith('NEXT_REDIRECT;')
}
