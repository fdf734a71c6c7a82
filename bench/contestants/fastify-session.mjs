// As its README shows it, with its defaults. `rolling` is one of them: every answer sets the cookie and stores the session.
// Switched off by `rolling: false`, which is measured too.
import fastifyCookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import fastify from 'fastify'
import { BODY, FIRST_VISITS, sessionValues } from '../session-values.mjs'
import { actionOf } from './actions.mjs'
import { connectRedis } from './backends.mjs'
import { RedisStore } from 'connect-redis'

export async function start({ backend, redisPort, rolling = true }) {
  const store =
    backend === 'redis' ? new RedisStore({ client: await connectRedis(redisPort) }) : new fastifySession.MemoryStore()
  const app = fastify()
  await app.register(fastifyCookie)
  await app.register(fastifySession, {
    store,
    secret: 's'.repeat(32),
    saveUninitialized: false,
    rolling,
    cookie: { secure: false, maxAge: 3_600_000 },
  })
  let visits = FIRST_VISITS
  app.get('/*', async ({ url, session }) => {
    const { name, bytes } = actionOf(url)
    if (name === 'read') return `visits: ${session.visits}`
    if (name === 'write') session.visits = ++visits
    if (name === 'create') Object.assign(session, sessionValues(bytes))
    return BODY
  })
  await app.ready()
  return { server: app.server, store: { object: store, methods: ['get', 'set', 'destroy'] } }
}
