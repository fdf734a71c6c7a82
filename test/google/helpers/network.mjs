import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** Stands between a client and an emulator, and fails as networks do. */
export async function startNetwork(host) {
  const [address, port] = host.split(':')
  const open = new Set()
  const server = createServer((client) => {
    const upstream = connect(Number(port), address)
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ]) {
      open.add(one)
      one.pipe(other)
      one.on('close', () => {
        open.delete(one)
        other.destroy()
      })
      // A reset is one more way for a connection to end.
      one.on('error', () => undefined)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${server.address().port}`,
    /** From here on nothing arrives on the connections that are open now, and nobody is told. */
    drop: () => {
      for (const socket of open) socket.unpipe().pause()
    },
    /** All connections are reset, and no new ones are accepted until `restore`. */
    cut: async () => {
      server.close()
      for (const socket of open) socket.destroy()
      await once(server, 'close')
    },
    restore: async (onPort) => {
      server.listen(onPort, '127.0.0.1')
      await once(server, 'listening')
    },
    close: () => {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}
