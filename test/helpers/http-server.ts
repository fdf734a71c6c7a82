import { once } from 'node:events'
import type { Server } from 'node:http'
import type { Http2Server, ServerHttp2Session } from 'node:http2'
import type { AddressInfo } from 'node:net'

export interface RunningServer {
  readonly origin: string
  readonly port: number
  /** Also ends the connections that are still open. */
  readonly close: () => Promise<void>
}

export async function startServer(server: Server | Http2Server, host = '127.0.0.1'): Promise<RunningServer> {
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
  })
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  return {
    origin: `http://${host}:${port}`,
    port,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      if ('closeAllConnections' in server) server.closeAllConnections()
      for (const session of sessions) session.destroy()
      await closed
    },
  }
}
