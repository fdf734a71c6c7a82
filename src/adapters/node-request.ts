import type { Sessions } from '../sessions.js'
import type { NodeResponse } from './held-response.js'
import { HeldVisit, type NodeRequest } from './held-visit.js'

/**
 * What every middleware of Node does with a request.
 *
 * @param handBack Where an error goes that comes up when the handler has ended its response already.
 */
export function handle<Data extends object>(
  sessions: Sessions<Data>,
  request: NodeRequest,
  response: NodeResponse,
  next: () => void,
  handBack?: (error: unknown) => void,
): void {
  // Mounted twice, say for the application and for a router of it: the outer one does the work.
  if (sessions.isBound(request)) return next()
  const { visit } = new HeldVisit(sessions, request, response, handBack)
  sessions.run(visit, () => next())
}
