import { once } from 'node:events'
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { io as connect } from 'socket.io-client'
import { expect, onTestFinished, test } from 'vitest'
import { memory } from '../../../src/backends/memory.ts'
import { createSessions } from '../../../src/index.ts'
import { socketSession } from '../../../src/adapters/websocket.ts'

const sessions = createSessions({
  secret: 'a secret for tests, and for nothing else',
  backend: memory(),
  autoSave: true,
})

async function request(act, cookie) {
  const visit = sessions.open(cookie)
  await act(await visit.session())
  const { append } = await sessions.commit(visit, () => undefined)
  return append.find(([name]) => name.toLowerCase() === 'set-cookie')?.[1].split(';')[0] ?? cookie
}

/** As docs/frameworks/websocket.md has it. */
async function startServer() {
  const server = createServer()
  const io = new Server(server)
  io.use((socket, next) => {
    socketSession(sessions, socket.request).then((visitor) => {
      socket.data.visitor = visitor
      next()
    }, next)
  })
  io.on('connection', (socket) => {
    const { visitor } = socket.data
    visitor.onEnd(() => socket.disconnect(true))
    socket.on('disconnect', () => visitor.close())
    socket.on('cart', async (answer) => {
      try {
        const session = await visitor.reload()
        answer(session.get('cart') ?? [])
      } catch {
        socket.disconnect(true)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => io.close())
  return `http://127.0.0.1:${server.address().port}`
}

async function open(origin, cookie, { transports, extraHeaders } = {}) {
  const socket = connect(origin, { transports, reconnection: false, extraHeaders: { ...extraHeaders, cookie } })
  onTestFinished(() => socket.disconnect())
  const refused = once(socket, 'connect_error').then(([error]) => error)
  const error = await Promise.race([once(socket, 'connect').then(() => undefined), refused])
  if (error instanceof Error) throw error
  return socket
}

test.each([[['websocket']], [['polling']], [['polling', 'websocket']]])(
  'a socket by %o reads the session as it is now, and is closed by a log-out',
  async (transports) => {
    const origin = await startServer()
    const cookie = await request((session) => session.set('cart', ['book']))
    const socket = await open(origin, cookie, { transports })
    expect(await socket.emitWithAck('cart')).toEqual(['book'])
    await request((session) => session.set('cart', ['book', 'pen']), cookie)
    expect(await socket.emitWithAck('cart')).toEqual(['book', 'pen'])
    const disconnected = once(socket, 'disconnect').then(([reason]) => reason)
    await request((session) => session.terminate(), cookie)
    expect(await disconnected).toBe('io server disconnect')
  },
)

test('a page of another origin is refused', async () => {
  const origin = await startServer()
  const cookie = await request((session) => session.set('cart', ['book']))
  const extraHeaders = { origin: 'https://evil.example' }
  await expect(open(origin, cookie, { transports: ['websocket'], extraHeaders })).rejects.toThrow(
    /another|evil\.example/,
  )
})
