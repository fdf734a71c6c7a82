import { withSessions } from 'vishnu/next'
import { sessions } from '../../lib/sessions'
import { slowService } from '../../lib/slow-service'

export const GET = withSessions(sessions, async (request) => {
  const session = await sessions.get(request)
  await slowService()
  session.set('slow', true)
  return new Response('done\n')
})
