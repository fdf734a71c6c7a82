import { SessionError } from '../errors.js'
import type { ResponseHeaders } from '../response-headers.js'
import type { Sessions } from '../sessions.js'

const UNAVAILABLE = 503

export type FetchHandler<Rest extends unknown[] = []> = (
  request: Request,
  ...rest: Rest
) => Response | Promise<Response>

/**
 * Sessions for handlers from `Request` to `Response`: Bun, Deno, Workers, and the frameworks built on them.
 *
 * Resolves to the response once what the handler changed is stored: before its first byte, streams included. If it can't be
 * stored, the response is dropped and 503 takes its place. What the handler throws is thrown on, after a commit:
 * a `regenerate()` is then done, though no cookie can tell the browser.
 *
 * Further arguments, such as Deno's `info` or a Worker's `env` and `context`, are handed on.
 */
export function withSessions<Data extends object, Rest extends unknown[]>(
  sessions: Sessions<Data>,
  handler: FetchHandler<Rest>,
): (request: Request, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => {
    if (sessions.isBound(request)) return handler(request, ...rest)
    const visit = sessions.open(request.headers.get('cookie') ?? undefined)
    sessions.bind(request, visit)
    try {
      const response = await sessions
        .run(visit, async () => handler(request, ...rest))
        .catch(async (error: unknown) => {
          await sessions.commit(visit, () => undefined)
          throw error
        })
      return withHeaders(response, await sessions.commit(visit, (name) => response.headers.get(name) ?? undefined))
    } catch (error) {
      if (error instanceof SessionError && error.status === UNAVAILABLE) return unavailable()
      throw error
    }
  }
}

function withHeaders(response: Response, headers: ResponseHeaders): Response {
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

function unavailable(): Response {
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }
  return new Response('Service Unavailable\n', { status: UNAVAILABLE, headers })
}
