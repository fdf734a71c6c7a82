// What people write with `env` of cloudflare:workers: everything is made when the worker starts.
import { env } from 'cloudflare:workers'
import { createSessions } from 'vishnu'
import { durableObject } from 'vishnu/backends/durable-object'
import { withSessions } from 'vishnu/fetch'

export { SessionObject } from 'vishnu/backends/durable-object'

const sessions = createSessions({
  secret: env.SESSION_SECRET,
  encryptKey: env.SESSION_SECRET,
  backend: durableObject({ namespace: env.SESSIONS }),
})

export default {
  fetch: withSessions(sessions, async (request) => {
    const session = await sessions.get(request)
    // Dropped, with a warning: nothing saves it, and there is no listener for events.
    session.set('dropped', true)
    return new Response(String(await session.update('visits', (count = 0) => count + 1)))
  }),
}
