import express from 'express'
import { createSessions } from 'vishnu'
import { datastore } from 'vishnu/backends/datastore'
import { sessionMiddleware } from 'vishnu/express'

// On App Engine a forgotten secret is an error at start, and not one that everybody can read here.
const secret = process.env.GAE_ENV ? undefined : 'for development only: 32 random characters'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? secret,
  backend: datastore({ projectId: process.env.GOOGLE_CLOUD_PROJECT, timeout: 5000 }),
  backendTimeout: 10_000, // the first request of an instance also connects
  timeout: 3600,
  autoSave: true,
})

const app = express()

// App Engine asks for it before an instance gets its first visitor: all that is imported above is loaded then.
app.get('/_ah/warmup', (req, res) => {
  res.sendStatus(200)
})

// From cron.yaml. App Engine takes this header out of requests from outside, so only its own cron can send it.
app.get('/tasks/clean-up', async (req, res) => {
  if (req.get('X-Appengine-Cron') !== 'true') return res.sendStatus(403)
  const isDone = await sessions.deleteExpiredSessions({ limit: 10_000 })
  res.type('text').send(isDone ? 'Nothing is left to remove.\n' : 'The rest is for the next time.\n')
})

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
