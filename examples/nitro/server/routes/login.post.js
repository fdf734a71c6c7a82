import { defineHandler } from 'nitro'
import { redirect } from 'nitro/h3'
import { sessions } from '../utils/sessions.js'

// Here you would check a password.
export default defineHandler(async (event) => {
  const form = await event.req.formData()
  const session = await sessions.get(event)
  if (session.has('user')) session.clear() // nobody inherits somebody else's cart
  session.set('user', form.get('name'))
  session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
  return redirect('/', 303)
})
