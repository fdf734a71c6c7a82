import express from 'express'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { redis } from 'vishnu/backends/redis'
import { sessionMiddleware } from 'vishnu/express'
import { socketSession } from 'vishnu/websocket'
import { WebSocketServer } from 'ws'
import { page } from './page.js'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: process.env.REDIS_URL ? redis({ url: process.env.REDIS_URL }) : memory(),
  timeout: 3600,
  autoSave: true,
})

const app = express()
app.use(sessionMiddleware(sessions))
app.use(express.urlencoded())

app.get('/', async (req, res) => {
  const session = await sessions.get(req)
  const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
  res.send(page(user, cart))
})

// Here you would check a password.
app.post('/login', async (req, res) => {
  const session = await sessions.get(req)
  if (session.has('user')) session.clear()
  session.set('user', req.body.name)
  session.regenerate({ authenticated: true }) // closes the sockets that the visitor opened before
  res.redirect(303, '/')
})

app.post('/cart', async (req, res) => {
  const session = await sessions.get(req)
  await session.update('cart', (cart = []) => [...cart, req.body.item])
  res.redirect(303, '/')
})

app.post('/logout', async (req, res) => {
  const session = await sessions.get(req)
  await session.terminate()
  res.redirect(303, '/')
})

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`http://localhost:${server.address().port}`)
})

const sockets = new WebSocketServer({ noServer: true })

server.on('upgrade', (request, connection, head) => {
  connection.on('error', () => connection.destroy())
  socketSession(sessions, request).then(
    (visitor) => sockets.handleUpgrade(request, connection, head, (socket) => serve(socket, visitor)),
    // 403 for a page of another origin, 503 while the backend is down.
    (error) => connection.end(`HTTP/1.1 ${error.status ?? 500} Refused\r\nConnection: close\r\n\r\n`),
  )
})

function serve(socket, visitor) {
  socket.on('error', () => socket.terminate()) // a message that breaks the protocol would end the process
  visitor.onEnd((end) => socket.close(4401, end))
  socket.on('close', () => visitor.close())
  socket.on('message', async () => {
    try {
      const session = await visitor.reload() // as it is now, not as it was when the socket was opened
      const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
      socket.send(`Hello ${user}, your cart: ${cart.join(', ') || 'empty'}`)
    } catch {
      socket.close(1011) // the page opens another one
    }
  })
}
