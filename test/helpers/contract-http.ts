import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sessionMiddleware } from '../../src/adapters/express.js'
import type { Sessions } from '../../src/index.js'

export interface Listening {
  readonly url: string
  readonly close: () => Promise<void>
}

/** A real server on a port of its own. */
export async function listen(listener: RequestListener): Promise<Listening> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

/** An application behind the session middleware that answers errors as frameworks do: by their status. */
export function withSessions<Data extends object>(sessions: Sessions<Data>, handler: Handler): RequestListener {
  const middleware = sessionMiddleware(sessions)
  return (request, response) => {
    middleware(request, response, () => {
      const handled = (async () => handler(request, response))()
      handled.catch((error: { status?: number; code?: string }) => {
        response.statusCode = error.status ?? 500
        response.end(error.code ?? 'ERROR')
      })
    })
  }
}
