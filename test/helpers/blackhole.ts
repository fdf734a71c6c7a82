import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'

export interface Blackhole {
  readonly port: number
  /** How many connections were made so far. */
  readonly connections: () => number
  readonly close: () => Promise<void>
}

/** A server that accepts every connection and never says a word: what a hung backend looks like to its clients. */
export async function startBlackhole(): Promise<Blackhole> {
  const open = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections++
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    // A client that gives up may reset the connection, which is no fault of the test.
    socket.on('error', () => undefined)
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    close: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
