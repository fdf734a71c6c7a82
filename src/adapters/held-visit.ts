import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { ResponseHeaders } from '../response-headers.js'
import type { RequestFacts, Sessions, Visit } from '../sessions.js'
import { type Hold, type NodeResponse, prepareHold } from './held-response.js'

/** A request of `node:http`, `node:https`, or the compatibility interface of `node:http2`. */
export type NodeRequest = IncomingMessage | Http2ServerRequest

/**
 * A request on Node whose response waits for its session, with a point before that at which errors can still be thrown. A
 * class, since every request makes one, and functions made for each would cost those that never ask for their session.
 */
export class HeldVisit<Data extends object> implements RequestFacts {
  readonly visit: Visit<Data>
  readonly #sessions: Sessions<Data>
  readonly #request: NodeRequest
  readonly #response: NodeResponse
  readonly #hold: Hold
  #hasFailed = false

  /**
   * Opens the visit of a request, and finds it by that request. Its response is held from the first use of the session on.
   *
   * @param handBack Where an error goes if the session can't be stored when the response has been made already.
   */
  constructor(
    sessions: Sessions<Data>,
    request: NodeRequest,
    response: NodeResponse,
    handBack?: (error: unknown) => void,
  ) {
    this.#sessions = sessions
    this.#request = request
    this.#response = response
    this.#hold = prepareHold(response, handBack)
    this.visit = sessions.open(request.headers.cookie, this)
    sessions.bind(request, this.visit)
  }

  onUse(): void {
    if (this.#response.headersSent) this.visit.headersAreSent()
    else this.#hold.use((header) => (this.#hasFailed ? NO_HEADERS : this.#sessions.commit(this.visit, header)))
  }

  /** No TLS here, no word of a proxy that it is there, and not this machine. */
  isPlainHttp(): boolean {
    const { socket, headers } = this.#request
    const isEncrypted = (socket as Partial<TLSSocket>).encrypted === true
    const isForwarded = headers['x-forwarded-proto'] !== undefined || headers.forwarded !== undefined
    return !isEncrypted && !isForwarded && !LOOPBACK.test(socket.remoteAddress ?? '127.0.0.1')
  }

  /**
   * Stores the session now; a promise only if there is something to wait for. For frameworks that tell when the handler is
   * done: what this rejects with reaches their error handlers, with nothing left of the headers that were prepared.
   *
   * The headers of the session are added later, by the held response: frameworks drop all headers when they answer with an
   * error, and a visitor whose session was stored needs the cookie.
   */
  store(): Promise<void> | undefined {
    // Either the answer to its failure is on its way, or somebody has begun to send and the hold has taken over.
    if (this.#hasFailed || this.#response.headersSent || !this.visit.consulted) return undefined
    const stored = this.#sessions.commit(this.visit, () => undefined)
    if (!(stored instanceof Promise)) return undefined
    return stored.then(
      () => undefined,
      (error: unknown) => {
        this.#hasFailed = true
        for (const name of this.#response.getHeaderNames()) this.#response.removeHeader(name)
        throw error
      },
    )
  }
}

const NO_HEADERS: ResponseHeaders = { set: [], append: [] }
const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/
