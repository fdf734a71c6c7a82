import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** What a network does to a connection when a request comes along. */
export const disturbances = [
  'is cut before the request arrives',
  'is cut before the reply arrives',
  'is reset before the reply arrives',
  'is cut in the middle of the reply',
  'stalls before the request arrives',
  'stalls before the reply arrives',
  'delays the reply',
] as const

export type Disturbance = (typeof disturbances)[number]

export interface TcpProxy {
  readonly port: number
  /**
   * Happens once, to the next request that matches, after `skip` more that match, or to the reply to it, which then is of
   * something that the server has done. Resolves then. Knows which reply belongs to a request only if the client waits for
   * each.
   */
  readonly disturb: (how: Disturbance, request: RegExp, options?: { skip?: number }) => Promise<void>
  /** Cuts the connection instead of forwarding a request, or instead of forwarding the reply to it. */
  readonly lose: (part: 'request' | 'reply', request: RegExp, options?: { skip?: number }) => Promise<void>
  /** What stalls moves on. */
  readonly heal: () => void
  /** New connections are accepted, and wait. */
  readonly hold: () => void
  /** Those that wait, and all later ones, are forwarded. */
  readonly release: () => void
  readonly close: () => Promise<void>
}

interface Trap {
  readonly how: Disturbance
  readonly request: RegExp
  skip: number
  readonly done: () => void
}

/** Stands between a client and a server on this machine, and can fail in ways in which a network does. */
export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const open = new Set<Socket>()
  const stalled = new Set<Pipe>()
  let gate = Promise.resolve()
  let openGate = (): void => undefined
  let trap: Trap | undefined

  const server = createServer((client) => {
    track(client)
    void gate.then(() => forward(client))
  })

  function forward(client: Socket): void {
    if (client.destroyed) return
    const upstream = connect(targetPort, '127.0.0.1')
    track(upstream)
    const [toServer, toClient] = [new Pipe(upstream), new Pipe(client)]
    let sprung: Trap | undefined
    client.on('data', (chunk) => {
      if (trap?.request.test(chunk.toString('latin1')) && trap.skip-- === 0) {
        sprung = trap
        trap = undefined
      }
      if (sprung?.how === 'is cut before the request arrives') return cut()
      if (sprung?.how === 'stalls before the request arrives') stall(toServer)
      toServer.write(chunk)
    })
    upstream.on('data', (chunk) => {
      switch (sprung?.how) {
        case 'is cut before the reply arrives':
          return cut()
        case 'is reset before the reply arrives':
          client.resetAndDestroy()
          return cut()
        case 'is cut in the middle of the reply':
          client.end(chunk.subarray(0, chunk.length / 2), cut)
          return undefined
        case 'stalls before the reply arrives':
          stall(toClient)
          break
        case 'delays the reply':
          stall(toClient)
          setTimeout(() => toClient.open(), DELAY)
          break
        default:
          break
      }
      toClient.write(chunk)
    })
    client.on('close', cut)
    upstream.on('close', cut)

    function cut(): void {
      client.destroy()
      upstream.destroy()
      done()
    }
    function stall(pipe: Pipe): void {
      pipe.shut()
      stalled.add(pipe)
      done()
    }
    function done(): void {
      sprung?.done()
      sprung = undefined
    }
  }

  function track(socket: Socket): void {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    // A reset is one more way for a connection to end.
    socket.on('error', () => undefined)
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const disturb: TcpProxy['disturb'] = (how, request, { skip = 0 } = {}) =>
    new Promise((resolve) => {
      trap = { how, request, skip, done: resolve }
    })
  return {
    port: (server.address() as AddressInfo).port,
    disturb,
    lose: (part, request, options) => disturb(`is cut before the ${part} arrives`, request, options),
    heal: () => {
      for (const pipe of stalled) pipe.open()
      stalled.clear()
    },
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

/** Milliseconds. */
const DELAY = 30

/** One direction of a connection. */
class Pipe {
  readonly #target: Socket
  #held: Buffer[] | undefined

  constructor(target: Socket) {
    this.#target = target
  }

  write(chunk: Buffer): void {
    if (this.#held) this.#held.push(chunk)
    else this.#target.write(chunk)
  }

  shut(): void {
    this.#held ??= []
  }

  open(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const chunk of held) this.#target.write(chunk)
  }
}
