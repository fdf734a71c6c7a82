import express from 'express'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { sessionMiddleware } from 'vishnu/express'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})

const app = express()
app.use(sessionMiddleware(sessions))
app.use(express.urlencoded())

app.get('/', async (req, res) => {
  const session = await sessions.get(req)
  const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
  res.type('text').send(`Hello ${user}, your cart: ${cart.join(', ') || 'empty'}\n`)
})

// Here you would check a password.
app.post('/login', async (req, res) => {
  const session = await sessions.get(req)
  if (session.has('user')) session.clear() // nobody inherits somebody else's cart
  session.set('user', req.body.name)
  session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
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
