import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { sessionMiddleware } from 'vishnu/node'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})

const pages = {
  'GET /': async (req, res) => {
    const session = await sessions.get(req)
    const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
    res.setHeader('Content-Type', 'text/plain; charset=utf-8')
    res.end(`Hello ${user}, your cart: ${cart.join(', ') || 'empty'}\n`)
  },
  // Here you would check a password.
  'POST /login': async (req, res) => {
    const { name } = await form(req)
    const session = await sessions.get(req)
    if (session.has('user')) session.clear() // nobody inherits somebody else's cart
    session.set('user', name)
    session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
    redirect(res)
  },
  'POST /cart': async (req, res) => {
    const { item } = await form(req)
    const session = await sessions.get(req)
    await session.update('cart', (cart = []) => [...cart, item])
    redirect(res)
  },
  'POST /logout': async (req, res) => {
    const session = await sessions.get(req)
    await session.terminate()
    redirect(res)
  },
}

async function form(req) {
  return Object.fromEntries(new URLSearchParams(await text(req)))
}

function redirect(res) {
  res.writeHead(303, { Location: '/' }).end()
}

function notFound(_req, res) {
  res.writeHead(404).end('Not found\n')
}

const withSession = sessionMiddleware(sessions)
const server = createServer((req, res) => {
  withSession(req, res, async () => {
    try {
      await (pages[`${req.method} ${req.url}`] ?? notFound)(req, res)
    } catch (error) {
      console.error(error)
      res.writeHead(error.status ?? 500).end('Something went wrong\n')
    }
  })
})
server.listen(process.env.PORT ?? 3000, () => {
  console.log(`http://localhost:${server.address().port}`)
})
