import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface TcpProxy {
  readonly port: number
  /**
   * Cuts the connection once: instead of forwarding the next request that matches, after `skip` more that match, or
   * instead of forwarding the reply to it, which then is of something that the server has done. Resolves then. Knows which
   * reply belongs to a request only if the client waits for each.
   */
  readonly lose: (part: 'request' | 'reply', request: RegExp, options?: { skip?: number }) => Promise<void>
  /** New connections are accepted, and wait. */
  readonly hold: () => void
  /** Those that wait, and all later ones, are forwarded. */
  readonly release: () => void
  readonly close: () => Promise<void>
}

/** Stands between a client and a server on this machine, and can fail in ways in which a network does. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const open = new Set<Socket>()
  let gate = Promise.resolve()
  let openGate = (): void => undefined
  let trap: { part: 'request' | 'reply'; request: RegExp; skip: number; sprung: () => void } | undefined

  const server = createServer((client) => {
    track(client)
    void gate.then(() => forward(client))
  })

  function forward(client: Socket): void {
    if (client.destroyed) return
    const upstream = connect(targetPort, '127.0.0.1')
    track(upstream)
    let isDoomed = false
    function cut(): void {
      client.destroy()
      upstream.destroy()
      trap?.sprung()
      trap = undefined
    }
    client.on('data', (chunk) => {
      if (trap?.request.test(chunk.toString('latin1')) && trap.skip-- === 0) isDoomed = true
      if (isDoomed && trap?.part === 'request') cut()
      else upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      if (isDoomed) cut()
      else client.write(chunk)
    })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
  }

  function track(socket: Socket): void {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    // A reset is one more way for a connection to end.
    socket.on('error', () => undefined)
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    lose: (part, request, { skip = 0 } = {}) =>
      new Promise((resolve) => {
        trap = { part, request, skip, sprung: resolve }
      }),
    hold: () => {
      gate = new Promise((resolve) => {
        openGate = resolve
      })
    },
    release: () => openGate(),
    close: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
