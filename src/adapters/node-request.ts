import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { ReadHeader, ResponseHeaders } from '../response-headers.js'
import type { Sessions } from '../sessions.js'
import { type NodeResponse, prepareHold } from './held-response.js'

/** A request of `node:http`, `node:https`, or the compatibility interface of `node:http2`. */
export type NodeRequest = IncomingMessage | Http2ServerRequest

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
  const hold = prepareHold(response, handBack)
  const commit = (header: ReadHeader): ResponseHeaders | Promise<ResponseHeaders> => sessions.commit(visit, header)
  const visit = sessions.open(request.headers.cookie, {
    onUse: () => (response.headersSent ? visit.headersAreSent() : hold.use(commit)),
    isPlainHttp: () => isPlainHttp(request),
  })
  sessions.bind(request, visit)
  sessions.run(visit, () => next())
}

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/

/** Whether a secure cookie is bound to be lost: no TLS here, no word of a proxy that it is there, and not this machine. */
function isPlainHttp({ socket, headers }: NodeRequest): boolean {
  const isEncrypted = (socket as Partial<TLSSocket>).encrypted === true
  const isForwarded = headers['x-forwarded-proto'] !== undefined || headers.forwarded !== undefined
  return !isEncrypted && !isForwarded && !LOOPBACK.test(socket.remoteAddress ?? '127.0.0.1')
}
