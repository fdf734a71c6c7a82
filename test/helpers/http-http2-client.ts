import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from 'node:http2'

export interface Http2Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly setCookies: readonly string[]
  readonly trailers: IncomingHttpHeaders
  readonly body: Buffer
}

/** One connection of HTTP/2 without TLS. */
export class Http2Client {
  readonly #session: ClientHttp2Session

  constructor(origin: string) {
    this.#session = connect(origin)
  }

  /** A request as a stream, to look at in flight. */
  open(path: string, headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
    return this.#session.request({ ':path': path, ...headers })
  }

  get(path: string, headers: OutgoingHttpHeaders = {}): Promise<Http2Reply> {
    return replyOf(this.open(path, headers))
  }

  close(): void {
    this.#session.destroy()
  }
}

/** All of an answer. Rejects if it breaks off. */
export function replyOf(stream: ClientHttp2Stream): Promise<Http2Reply> {
  return new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders & IncomingHttpStatusHeader = {}
    let trailers: IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    stream.on('response', (received) => {
      headers = received
    })
    stream.on('trailers', (received) => {
      trailers = received
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', reject)
    stream.on('aborted', () => reject(new Error('The answer broke off')))
    stream.on('close', () => {
      const { ':status': status = 0, 'set-cookie': setCookies = [] } = headers
      resolve({ status, headers, setCookies, trailers, body: Buffer.concat(chunks) })
    })
    stream.end()
  })
}
