import { once } from 'node:events'
import { createServer } from 'node:http'

/** A service that the applications wait for (`SLOW_URL`): the test sees who has arrived, and says when they may go on. */
export class Gate {
  #server = createServer((request, response) => this.#arrivals(response))
  #arrivals
  url

  static async open() {
    const gate = new Gate()
    gate.#server.listen(0, '127.0.0.1')
    await once(gate.#server, 'listening')
    gate.url = `http://127.0.0.1:${gate.#server.address().port}/`
    return gate
  }

  constructor() {
    this.#arrivals = () => undefined
  }

  /** Called before somebody is sent to the gate. Resolves to the function that lets them pass, once they wait there. */
  next() {
    return new Promise((resolve) => {
      this.#arrivals = (response) => resolve(() => response.end('go on\n'))
    })
  }

  async close() {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
