// As its Readme advises, with an external store of the three methods it asks for. A store in memory keeps JSON, as
// express-session's does: by reference, requests would share one object.
import { createServer } from 'node:http'
import Koa from 'koa'
import session from 'koa-session'
import { BODY, FIRST_VISITS, sessionValues } from '../session-values.mjs'
import { actionOf } from './actions.mjs'
import { connectRedis } from './backends.mjs'

export async function start(setting) {
  const store = setting.backend === 'redis' ? redisStore(await connectRedis(setting.redisPort)) : memoryStore()
  const app = new Koa()
  app.keys = ['s'.repeat(32)]
  app.use(session({ store, maxAge: 3_600_000 }, app))
  let visits = FIRST_VISITS
  app.use(async (context) => {
    const { name, bytes } = actionOf(context.url)
    context.body = BODY
    if (name === 'read') context.body = `visits: ${context.session.visits}`
    if (name === 'write') context.session.visits = ++visits
    if (name === 'create') Object.assign(context.session, sessionValues(bytes))
  })
  const handle = app.callback()
  return {
    server: createServer((request, response) => void handle(request, response)),
    store: { object: store, methods: ['get', 'set', 'destroy'] },
  }
}

function memoryStore() {
  const texts = new Map()
  return {
    get: async (key) => (texts.has(key) ? JSON.parse(texts.get(key)) : undefined),
    set: async (key, value) => void texts.set(key, JSON.stringify(value)),
    destroy: async (key) => void texts.delete(key),
  }
}

function redisStore(client) {
  return {
    get: async (key) => JSON.parse((await client.get(key)) ?? 'null'),
    set: (key, value, maxAge) =>
      client.set(key, JSON.stringify(value), { expiration: { type: 'PX', value: Math.ceil(maxAge) } }),
    destroy: (key) => client.del(key),
  }
}
