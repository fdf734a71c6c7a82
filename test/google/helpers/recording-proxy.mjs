import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { buffer } from 'node:stream/consumers'

/**
 * Stands before an API server, forwards every call to it and remembers what came: `{ method, path, headers, body }`. What
 * `hold` was told of is forwarded too, and its answer then kept back.
 */
export async function startRecordingProxy(targetPort) {
  const calls = []
  let held
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing))
  async function handle(incoming, outgoing) {
    const { method, url: path, headers } = incoming
    const body = await buffer(incoming)
    calls.push({ method, path, headers, body })
    const isHeld = held !== undefined && body.includes(held)
    if (isHeld) held = undefined
    const reply = await forward({ port: targetPort, method, path, headers, body }).catch(() => undefined)
    if (isHeld) return
    if (reply) outgoing.writeHead(reply.status).end(reply.body)
    else outgoing.destroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: server.address().port,
    calls,
    /** The next call whose body has this text is answered never. */
    hold: (text) => {
      held = text
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function forward({ port, method, path, headers, body }) {
  const call = request({ host: '127.0.0.1', port, method, path, headers })
  call.end(body)
  const [response] = await once(call, 'response')
  return { status: response.statusCode, body: await buffer(response) }
}
