import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A bare connection to a server: what is on the wire, and what is not yet. */
export class Wire {
  readonly #socket: Socket
  #text = ''

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      this.#text += chunk
    })
    // A server that resets the connection is for the test to judge, by what has arrived.
    socket.on('error', () => undefined)
  }

  static async dial(port: number, host = '127.0.0.1'): Promise<Wire> {
    const socket = connect(port, host)
    await once(socket, 'connect')
    return new Wire(socket)
  }

  /** All that has arrived. */
  get text(): string {
    return this.#text
  }

  request(method: string, path: string, ...headers: string[]): void {
    this.#socket.write([`${method} ${path} HTTP/1.1`, 'Host: localhost', ...headers, '', ''].join('\r\n'))
  }

  /** All that has arrived, as soon as it matches. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#text)) {
      if (this.#socket.closed) throw new Error(`Closed before ${pattern} came; this did: ${this.#text}`)
      await Promise.race([once(this.#socket, 'data'), once(this.#socket, 'close')])
    }
    return this.#text
  }

  /** Resolves, with all that has arrived, when the server closes the connection. */
  async end(): Promise<string> {
    if (!this.#socket.closed) await once(this.#socket, 'close')
    return this.#text
  }

  /** Goes away without a word. */
  abort(): void {
    this.#socket.destroy()
  }
}
