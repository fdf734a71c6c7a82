import { serve } from 'srvx'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { withSessions } from 'vishnu/fetch'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})

const pages = {
  'GET /': async (request) => {
    const session = await sessions.get(request)
    const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
    return new Response(`Hello ${user}, your cart: ${cart.join(', ') || 'empty'}\n`)
  },
  // Here you would check a password.
  'POST /login': async (request) => {
    const form = await request.formData()
    const session = await sessions.get(request)
    if (session.has('user')) session.clear() // nobody inherits somebody else's cart
    session.set('user', form.get('name'))
    session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
    return home(request)
  },
  'POST /cart': async (request) => {
    const form = await request.formData()
    const session = await sessions.get(request)
    await session.update('cart', (cart = []) => [...cart, form.get('item')])
    return home(request)
  },
  'POST /logout': async (request) => {
    const session = await sessions.get(request)
    await session.terminate()
    return home(request)
  },
}

function home(request) {
  return Response.redirect(new URL('/', request.url), 303)
}

function notFound() {
  return new Response('Not found\n', { status: 404 })
}

const fetch = withSessions(sessions, (request) => {
  const page = pages[`${request.method} ${new URL(request.url).pathname}`] ?? notFound
  return page(request)
})

const server = serve({ fetch, port: Number(process.env.PORT ?? 3000), silent: true })
await server.ready()
console.log(`http://localhost:${new URL(server.url).port}`)
