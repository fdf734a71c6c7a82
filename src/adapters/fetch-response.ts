import { SessionError } from '../errors.js'
import type { ResponseHeaders } from '../response-headers.js'
import type { Sessions, Visit } from '../sessions.js'

const UNAVAILABLE = 503
/** What frameworks answer errors with that are not their own, whatever their `status`. */
const UNKNOWN_ERROR = 500

/**
 * The response of `respond` with the headers of its session, once what was changed is stored: before its first byte, streams
 * included. If it can't be stored, a plain 503 takes the place of the response; also if `respond` throws that the session
 * can't be read. Other errors are thrown on, and nothing is stored.
 */
export async function respondWith<Data extends object>(
  sessions: Sessions<Data>,
  visit: Visit<Data>,
  respond: () => Response | Promise<Response>,
): Promise<Response> {
  let response: Response | undefined
  try {
    const prepared = (response = await sessions.run(visit, respond))
    const headers = await sessions.commit(visit, (name) => prepared.headers.get(name) ?? undefined)
    return withHeaders(response, headers)
  } catch (error) {
    if (!(error instanceof SessionError) || error.status !== UNAVAILABLE) throw error
    // Tells the maker of a stream that nobody will read it.
    response?.body?.cancel().catch(() => undefined)
    const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }
    return new Response('Service Unavailable\n', { status: UNAVAILABLE, headers })
  }
}

/** For frameworks that keep errors to themselves: their 500 for an error of ours gets the error's status. */
export function withStatus(response: Response, { failure }: Pick<Visit, 'failure'>): Response {
  if (response.status !== UNKNOWN_ERROR || !(failure instanceof SessionError)) return response
  return new Response(response.body, { status: failure.status, headers: response.headers })
}

export function withHeaders(response: Response, headers: ResponseHeaders): Response {
  if (headers.set.length === 0 && headers.append.length === 0) return response
  try {
    apply(headers, response)
    return response
  } catch {
    // The headers of a redirect, and of a response that was itself fetched, are immutable (Fetch, section 5.5).
    const copy = new Response(response.body, response)
    apply(headers, copy)
    return copy
  }
}

function apply({ set, append }: ResponseHeaders, { headers }: Response): void {
  for (const [name, value] of set) headers.set(name, value)
  for (const [name, value] of append) headers.append(name, value)
}

/** What asking for the session gets in a page that is made while the site is built. */
export function prerenderedError(): SessionError {
  return new SessionError(
    'ERR_NO_REQUEST',
    'A prerendered page has no visitor: render the page on demand (Astro: prerender = false), or do not ask for the session in it',
  )
}
