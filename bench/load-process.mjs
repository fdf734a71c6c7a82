// Sends requests over connections that stay open, one at a time on each, and tells how long it took. Speaks HTTP by hand:
// with a client library this process would need more time than the server that it measures.
import { once } from 'node:events'
import { connect } from 'node:net'

/** The visitors of a server, by its port. */
const visitors = new Map()

/** One visitor: a connection and a cookie. */
class Visitor {
  #socket
  #cookie
  #settle
  #received = ''

  constructor(port, cookie) {
    this.#cookie = cookie
    this.#socket = connect(port, '127.0.0.1').setNoDelay().setEncoding('latin1')
    this.#socket.on('data', (chunk) => this.#receive(chunk))
    this.#socket.on('error', (error) => this.#settle?.reject(error))
    this.#socket.on('close', () => {
      // The next server may be given the same port.
      visitors.delete(port)
      this.#settle?.reject(new Error('the server closed a connection'))
    })
  }

  async opened() {
    if (this.#socket.connecting) await once(this.#socket, 'connect')
  }

  /** @param more Asked after each answer whether to go on. */
  visit(path, more) {
    const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nCookie: ${this.#cookie}\r\n\r\n`
    return new Promise((resolve, reject) => {
      const next = () => {
        if (more()) this.#socket.write(request)
        else resolve()
      }
      this.#settle = { next, reject }
      next()
    })
  }

  #receive(chunk) {
    this.#received += chunk
    const end = this.#received.indexOf('\r\n\r\n')
    if (end === -1) return
    const [, length] = /\r\nContent-Length: (\d+)/i.exec(this.#received) ?? []
    if (!this.#received.startsWith('HTTP/1.1 200') || length === undefined) {
      this.#settle.reject(new Error(`an unexpected answer:\n${this.#received}`))
    } else if (this.#received.length >= end + 4 + Number(length)) {
      this.#received = ''
      this.#settle.next()
    }
  }
}

async function run({ port, path, cookies, requests, spins }) {
  if (!visitors.has(port)) {
    const arrived = cookies.map((cookie) => new Visitor(port, cookie))
    visitors.set(port, arrived)
  }
  const all = visitors.get(port)
  await Promise.all(all.map((visitor) => visitor.opened()))

  let left = requests
  let isRunning = true
  // Never sleeps meanwhile: waking another process is work for the one that sends, and a slow server would have to do it
  // more often than a fast one, whose visitors always have something to read.
  const spin = () => {
    if (isRunning) setImmediate(spin)
  }
  if (spins) spin()
  const start = performance.now()
  try {
    await Promise.all(all.map((visitor) => visitor.visit(path, () => left-- > 0)))
  } finally {
    isRunning = false
  }
  return performance.now() - start
}

process.on('message', (order) => {
  run(order).then(
    (answer) => process.send({ answer }),
    (error) => process.send({ failure: error.message }),
  )
})
process.on('disconnect', () => process.exit())
process.send({ answer: 'ready' })
