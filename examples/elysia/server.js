import { Elysia } from 'elysia'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { sessionPlugin } from 'vishnu/elysia'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})

// Elysia's own server is Bun's. Node has one by a package.
const { node } = process.versions.bun ? {} : await import('@elysiajs/node')

const app = new Elysia({ adapter: node?.() })
  .use(sessionPlugin(sessions))
  .get('/', async ({ request }) => {
    const session = await sessions.get(request)
    const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
    return `Hello ${user}, your cart: ${cart.join(', ') || 'empty'}\n`
  })
  // Here you would check a password.
  .post('/login', async ({ request, body, redirect }) => {
    const session = await sessions.get(request)
    if (session.has('user')) session.clear() // nobody inherits somebody else's cart
    session.set('user', body.name)
    session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
    return redirect(home(request), 303)
  })
  .post('/cart', async ({ request, body, redirect }) => {
    const session = await sessions.get(request)
    await session.update('cart', (cart = []) => [...cart, body.item])
    return redirect(home(request), 303)
  })
  .post('/logout', async ({ request, redirect }) => {
    const session = await sessions.get(request)
    await session.terminate()
    return redirect(home(request), 303)
  })

// Outside of Bun, Elysia's redirect takes whole addresses only.
function home(request) {
  return new URL('/', request.url).href
}

const port = Number(process.env.PORT ?? 3000)
app.listen(port, () => console.log(`http://localhost:${port}`))
