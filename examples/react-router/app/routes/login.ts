import { redirect } from 'react-router'
import { sessions } from '../sessions.server'
import type { Route } from './+types/login'

// Here you would check a password.
export async function action({ request, context }: Route.ActionArgs) {
  const form = await request.formData()
  const session = await sessions.get(context)
  if (session.has('user')) session.clear() // nobody inherits somebody else's cart
  session.set('user', String(form.get('name')))
  session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
  return redirect('/')
}
