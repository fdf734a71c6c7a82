import { withSessions } from 'vishnu/next'
import { sessions } from '../../lib/sessions'

export const GET = withSessions(sessions, async (request) => {
  const session = await sessions.get(request)
  session.set('cart', [...(session.get('cart') ?? []), 'failed'])
  throw new Error('Nothing works here')
})
