import { withSessions } from 'vishnu/next'
import { sessions } from '../../lib/sessions'
import { slowService } from '../../lib/slow-service'

export const GET = withSessions(sessions, async (request) => {
  const session = await sessions.get(request)
  session.set('cart', [...(session.get('cart') ?? []), 'ticket'])
  return new Response(ReadableStream.from(parts()).pipeThrough(new TextEncoderStream()))
})

async function* parts() {
  yield 'first part\n'
  await slowService()
  yield 'second part\n'
}
