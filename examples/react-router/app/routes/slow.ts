import { sessions } from '../sessions.server'
import { slowService } from '../slow-service.server'
import type { Route } from './+types/slow'

export async function loader({ context }: Route.LoaderArgs) {
  const session = await sessions.get(context)
  await slowService()
  session.set('slow', true) // dropped if the visitor has logged out meanwhile
  return new Response('done\n')
}
