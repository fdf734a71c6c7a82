import Fastify from 'fastify'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { sessionPlugin } from 'vishnu/fastify'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})

const app = Fastify()
await app.register(sessionPlugin(sessions))
app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, async (_request, body) =>
  Object.fromEntries(new URLSearchParams(body)),
)

app.get('/', async (request) => {
  const session = await sessions.get(request)
  const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
  return `Hello ${user}, your cart: ${cart.join(', ') || 'empty'}\n`
})

// Here you would check a password.
app.post('/login', async (request, reply) => {
  const session = await sessions.get(request)
  if (session.has('user')) session.clear() // nobody inherits somebody else's cart
  session.set('user', request.body.name)
  session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
  return reply.redirect('/', 303)
})

app.post('/cart', async (request, reply) => {
  const session = await sessions.get(request)
  await session.update('cart', (cart = []) => [...cart, request.body.item])
  return reply.redirect('/', 303)
})

app.post('/logout', async (request, reply) => {
  const session = await sessions.get(request)
  await session.terminate()
  return reply.redirect('/', 303)
})

await app.listen({ port: Number(process.env.PORT ?? 3000) })
console.log(`http://localhost:${app.server.address().port}`)
