import { redirect } from 'react-router'
import { sessions } from '../sessions.server'
import type { Route } from './+types/cart'

export async function action({ request, context }: Route.ActionArgs) {
  const form = await request.formData()
  const item = String(form.get('item'))
  const session = await sessions.get(context)
  await session.update('cart', (cart = []) => [...cart, item])
  return redirect('/')
}
