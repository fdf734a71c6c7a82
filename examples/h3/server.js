import { H3, redirect, serve } from 'h3'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { sessionMiddleware } from 'vishnu/h3'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})

const app = new H3()
app.use(sessionMiddleware(sessions))

app.get('/', async (event) => {
  const session = await sessions.get(event)
  const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
  event.res.headers.set('content-type', 'text/plain; charset=utf-8')
  return `Hello ${user}, your cart: ${cart.join(', ') || 'empty'}\n`
})

// Here you would check a password.
app.post('/login', async (event) => {
  const form = await event.req.formData()
  const session = await sessions.get(event)
  if (session.has('user')) session.clear() // nobody inherits somebody else's cart
  session.set('user', form.get('name'))
  session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
  return redirect('/', 303)
})

app.post('/cart', async (event) => {
  const form = await event.req.formData()
  const session = await sessions.get(event)
  await session.update('cart', (cart = []) => [...cart, form.get('item')])
  return redirect('/', 303)
})

app.post('/logout', async (event) => {
  const session = await sessions.get(event)
  await session.terminate()
  return redirect('/', 303)
})

const server = serve(app, { port: Number(process.env.PORT ?? 3000), silent: true })
await server.ready()
console.log(`http://localhost:${new URL(server.url).port}`)
