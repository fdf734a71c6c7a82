import { redirect } from 'react-router'
import { sessions } from '../sessions.server'
import type { Route } from './+types/logout'

export async function action({ context }: Route.ActionArgs) {
  const session = await sessions.get(context)
  await session.terminate()
  return redirect('/')
}
