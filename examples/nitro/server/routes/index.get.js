import { defineHandler } from 'nitro'
import { sessions } from '../utils/sessions.js'

export default defineHandler(async (event) => {
  const session = await sessions.get(event)
  const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
  event.res.headers.set('content-type', 'text/plain; charset=utf-8')
  return `Hello ${user}, your cart: ${cart.join(', ') || 'empty'}\n`
})
