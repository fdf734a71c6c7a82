import type { Sessions } from '../sessions.js'
import type { NodeResponse } from './held-response.js'
import type { NodeRequest } from './held-visit.js'
import { handle } from './node-request.js'

export type { NodeRequest, NodeResponse }

/** What Express, Connect and plain `node:http` code call with each request. */
export type NodeMiddleware = (request: NodeRequest, response: NodeResponse, next: (error?: unknown) => void) => void

/**
 * Sessions for `node:http`, and for whatever takes middleware of the shape `(request, response, next)`.
 *
 * The response's first byte leaves only after what the handler changed is stored. If it can't be stored the response is
 * discarded, headers and all, and 503 is sent instead.
 */
export function sessionMiddleware<Data extends object>(sessions: Sessions<Data>): NodeMiddleware {
  return (request, response, next) => handle(sessions, request, response, next)
}
