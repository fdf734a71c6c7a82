import { createServer, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { startServer } from './http-server.js'

export type Fetch = (request: Request) => Response | Promise<Response>

/** A real HTTP server for a fetch handler, as runtimes with one built in have it. What the handler throws is its status. */
export function startFetchServer(fetch: Fetch): ReturnType<typeof startServer> {
  return startServer(
    createServer((incoming, outgoing) => {
      const answer = async (): Promise<void> => {
        const response = await Promise.resolve(fetch(requestOf(incoming))).catch(
          (error: unknown) =>
            new Response('Something went wrong', { status: (error as { status?: number }).status ?? 500 }),
        )
        outgoing.statusCode = response.status
        for (const [name, value] of response.headers) if (name !== 'set-cookie') outgoing.setHeader(name, value)
        outgoing.setHeader('set-cookie', response.headers.getSetCookie())
        if (response.body) await pipeline(Readable.fromWeb(response.body as never), outgoing)
        else outgoing.end()
      }
      // A stream that fails under way ends the connection; there is nothing else that could be said.
      answer().catch(() => outgoing.destroy())
    }),
  )
}

function requestOf(incoming: IncomingMessage): Request {
  const headers = new Headers()
  for (const [name, value] of Object.entries(incoming.headers)) headers.set(name, String(value))
  const hasBody = incoming.method !== 'GET' && incoming.method !== 'HEAD'
  const init = {
    method: incoming.method ?? 'GET',
    headers,
    ...(hasBody && { body: Readable.toWeb(incoming), duplex: 'half' }),
  }
  return new Request(`http://${incoming.headers.host}${incoming.url}`, init as RequestInit)
}
