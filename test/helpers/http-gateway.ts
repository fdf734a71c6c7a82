import { createServer, type OutgoingHttpHeaders } from 'node:http'
import { connect, constants, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2'
import { type RunningServer, startServer } from './http-server.js'

/** Lets clients that speak HTTP/1.1 talk to a server that speaks HTTP/2 without TLS. */
export async function startGateway(origin: string): Promise<RunningServer> {
  const session = connect(origin)
  const gateway = await startServer(
    createServer((request, response) => {
      const { cookie } = request.headers
      const stream = session.request({
        ':method': request.method ?? 'GET',
        ':path': request.url ?? '/',
        ...(cookie !== undefined && { cookie }),
      })
      stream.on('response', (headers: IncomingHttpHeaders & IncomingHttpStatusHeader) => {
        const { ':status': status = 502, ...rest } = headers
        response.writeHead(status, rest as OutgoingHttpHeaders)
        response.flushHeaders()
        stream.pipe(response)
      })
      stream.on('error', () => response.destroy())
      // A client that goes away, or has all it wanted.
      response.on('close', () => stream.close(constants.NGHTTP2_CANCEL))
      request.pipe(stream)
    }),
  )
  return {
    ...gateway,
    close: async () => {
      session.destroy()
      await gateway.close()
    },
  }
}
