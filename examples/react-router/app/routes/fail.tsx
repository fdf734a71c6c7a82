import { sessions } from '../sessions.server'
import type { Route } from './+types/fail'

export async function loader({ context }: Route.LoaderArgs) {
  const session = await sessions.get(context)
  session.set('cart', [...(session.get('cart') ?? []), 'failed'])
  throw new Error('thrown on purpose')
}

export default function Fail() {
  return null
}
