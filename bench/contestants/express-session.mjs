// As its README advises: resave and saveUninitialized off; connect-redis for Redis, the MemoryStore it comes with else.
import { createServer } from 'node:http'
import { RedisStore } from 'connect-redis'
import expressSession from 'express-session'
import { BODY, FIRST_VISITS, sessionValues } from '../session-values.mjs'
import { actionOf, send } from './actions.mjs'
import { connectRedis } from './backends.mjs'

export async function expressStore({ backend, redisPort }) {
  return backend === 'redis'
    ? new RedisStore({ client: await connectRedis(redisPort) })
    : new expressSession.MemoryStore()
}

export const STORE_METHODS = ['get', 'set', 'touch', 'destroy']

export async function start(setting) {
  const store = await expressStore(setting)
  const middleware = expressSession({
    store,
    secret: 's'.repeat(32),
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 3_600_000 },
  })
  let visits = FIRST_VISITS

  function handle(request, response) {
    const { name, bytes } = actionOf(request.url)
    if (name === 'read') return send(response, `visits: ${request.session.visits}`)
    if (name === 'write') request.session.visits = ++visits
    if (name === 'create') Object.assign(request.session, sessionValues(bytes))
    return send(response, BODY)
  }

  const server = createServer((request, response) => middleware(request, response, () => handle(request, response)))
  return { server, store: { object: store, methods: STORE_METHODS } }
}
