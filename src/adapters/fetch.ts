import type { Sessions } from '../sessions.js'
import { respondWith } from './fetch-response.js'

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
    return respondWith(sessions, visit, () => answer(request, ...rest))
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
