import { defineHandler } from 'nitro'
import { redirect } from 'nitro/h3'
import { sessions } from '../utils/sessions.js'

export default defineHandler(async (event) => {
  const form = await event.req.formData()
  const session = await sessions.get(event)
  await session.update('cart', (cart = []) => [...cart, form.get('item')])
  return redirect('/', 303)
})
