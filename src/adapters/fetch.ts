import { SessionError } from '../errors.js'
import type { ResponseHeaders } from '../response-headers.js'
import type { Sessions } from '../sessions.js'

/** A handler of the fetch kind; `Rest` is whatever else the platform hands over. */
export type FetchHandler<Rest extends unknown[] = []> = (
  request: Request,
  ...rest: Rest
) => Response | Promise<Response>

export interface FetchOptions {
  /**
   * Turns what the handler throws into a response. Without it the error is thrown on, for the runtime or framework to answer,
   * and what was not stored before is dropped: no response of ours could carry the cookie that may go with it.
   */
  onError?: (error: unknown, request: Request) => Response | Promise<Response>
}

const UNAVAILABLE = 503

/**
 * Sessions for handlers from `Request` to `Response`: Bun, Deno, Workers, and the frameworks built on them.
 *
 * Resolves to the response once what the handler changed is stored: before its first byte, streams included. If it can't be
 * stored, the response is dropped and 503 takes its place. Further arguments, such as Deno's `info` or a Worker's `env` and
 * `context`, are handed on.
 */
export function withSessions<Data extends object, Rest extends unknown[]>(
  sessions: Sessions<Data>,
  handler: FetchHandler<Rest>,
  { onError }: FetchOptions = {},
): (request: Request, ...rest: Rest) => Promise<Response> {
  return async (request, ...rest) => {
    if (sessions.isBound(request)) return handler(request, ...rest)
    const visit = sessions.open(request.headers.get('cookie') ?? undefined)
    sessions.bind(request, visit)
    try {
      const response = await sessions.run(visit, () => answer(request, ...rest))
      return withHeaders(response, await sessions.commit(visit, (name) => response.headers.get(name) ?? undefined))
    } catch (error) {
      if (error instanceof SessionError && error.status === UNAVAILABLE) return unavailable()
      throw error
    }
  }

  async function answer(request: Request, ...rest: Rest): Promise<Response> {
    try {
      return await handler(request, ...rest)
    } catch (error) {
      if (onError) return onError(error, request)
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
