import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

// Below the range from which systems pick the local port of an outgoing connection: a client that keeps dialling a
// killed server there can be given that very port, reach itself, and keep the server from coming back.
const lowest = 10_000
const highest = 30_000

/** A loopback port on which nobody listens right now. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(lowest, highest)
    if (await canListen(port)) return port
  }
  throw new Error('Found no free port in 100 attempts')
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}
