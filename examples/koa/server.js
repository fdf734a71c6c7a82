import { text } from 'node:stream/consumers'
import Koa from 'koa'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { sessionMiddleware } from 'vishnu/koa'

const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})

const pages = {
  'GET /': async (ctx) => {
    const session = await sessions.get(ctx)
    const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
    ctx.body = `Hello ${user}, your cart: ${cart.join(', ') || 'empty'}\n`
  },
  // Here you would check a password.
  'POST /login': async (ctx) => {
    const { name } = await form(ctx)
    const session = await sessions.get(ctx)
    if (session.has('user')) session.clear() // nobody inherits somebody else's cart
    session.set('user', name)
    session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
    redirect(ctx)
  },
  'POST /cart': async (ctx) => {
    const { item } = await form(ctx)
    const session = await sessions.get(ctx)
    await session.update('cart', (cart = []) => [...cart, item])
    redirect(ctx)
  },
  'POST /logout': async (ctx) => {
    const session = await sessions.get(ctx)
    await session.terminate()
    redirect(ctx)
  },
}

async function form(ctx) {
  return Object.fromEntries(new URLSearchParams(await text(ctx.req)))
}

function redirect(ctx) {
  ctx.status = 303
  ctx.redirect('/')
}

const app = new Koa()
app.use(sessionMiddleware(sessions))
app.use((ctx, next) => (pages[`${ctx.method} ${ctx.path}`] ?? next)(ctx))

const server = app.listen(process.env.PORT ?? 3000, () => {
  console.log(`http://localhost:${server.address().port}`)
})
