import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { sessionMiddleware } from 'vishnu/hono'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})

const app = new Hono()
app.use(sessionMiddleware(sessions))

app.get('/', async (c) => {
  const session = await sessions.get(c)
  const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
  return c.text(`Hello ${user}, your cart: ${cart.join(', ') || 'empty'}\n`)
})

// Here you would check a password.
app.post('/login', async (c) => {
  const { name } = await c.req.parseBody()
  const session = await sessions.get(c)
  if (session.has('user')) session.clear() // nobody inherits somebody else's cart
  session.set('user', name)
  session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
  return c.redirect('/', 303)
})

app.post('/cart', async (c) => {
  const { item } = await c.req.parseBody()
  const session = await sessions.get(c)
  await session.update('cart', (cart = []) => [...cart, item])
  return c.redirect('/', 303)
})

app.post('/logout', async (c) => {
  const session = await sessions.get(c)
  await session.terminate()
  return c.redirect('/', 303)
})

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) => {
  console.log(`http://localhost:${port}`)
})
