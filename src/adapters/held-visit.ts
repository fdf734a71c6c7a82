import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { ReadHeader, ResponseHeaders } from '../response-headers.js'
import type { Sessions, Visit } from '../sessions.js'
import { type NodeResponse, prepareHold } from './held-response.js'

/** A request of `node:http`, `node:https`, or the compatibility interface of `node:http2`. */
export type NodeRequest = IncomingMessage | Http2ServerRequest

/** A request on Node whose response waits for its session, with a point before that at which errors can still be thrown. */
export interface HeldVisit<Data extends object> {
  readonly visit: Visit<Data>
  /**
   * Stores the session now; a promise only if there is something to wait for. For frameworks that tell when the handler is
   * done: what this rejects with reaches their error handlers, with nothing left of the headers that were prepared.
   *
   * The headers of the session are added later, by the held response: frameworks drop all headers when they answer with an
   * error, and a visitor whose session was stored needs the cookie.
   */
  store(): Promise<void> | undefined
}

/**
 * Opens the visit of a request, and finds it by that request. Its response is held from the first use of the session on.
 *
 * @param handBack Where an error goes if the session can't be stored when the response has been made already.
 */
export function openHeld<Data extends object>(
  sessions: Sessions<Data>,
  request: NodeRequest,
  response: NodeResponse,
  handBack?: (error: unknown) => void,
): HeldVisit<Data> {
  let hasFailed = false
  const hold = prepareHold(response, handBack)
  const commit = (header: ReadHeader): ResponseHeaders | Promise<ResponseHeaders> =>
    hasFailed ? { set: [], append: [] } : sessions.commit(visit, header)
  const visit = sessions.open(request.headers.cookie, {
    onUse: () => (response.headersSent ? visit.headersAreSent() : hold.use(commit)),
    isPlainHttp: () => isPlainHttp(request),
  })
  sessions.bind(request, visit)
  return {
    visit,
    store: () => {
      // Either the answer to its failure is on its way, or somebody has begun to send and the hold has taken over.
      if (hasFailed || response.headersSent) return undefined
      const stored = sessions.commit(visit, () => undefined)
      if (!(stored instanceof Promise)) return undefined
      return stored.then(
        () => undefined,
        (error: unknown) => {
          hasFailed = true
          for (const name of response.getHeaderNames()) response.removeHeader(name)
          throw error
        },
      )
    },
  }
}

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/

/** Whether a secure cookie is bound to be lost: no TLS here, no word of a proxy that it is there, and not this machine. */
function isPlainHttp({ socket, headers }: NodeRequest): boolean {
  const isEncrypted = (socket as Partial<TLSSocket>).encrypted === true
  const isForwarded = headers['x-forwarded-proto'] !== undefined || headers.forwarded !== undefined
  return !isEncrypted && !isForwarded && !LOOPBACK.test(socket.remoteAddress ?? '127.0.0.1')
}
