import fastify from 'fastify'
import { BODY } from '../session-values.mjs'
import { actionOf } from './actions.mjs'
import { rawAccess } from './backends.mjs'

export async function start(setting) {
  const access = await rawAccess(setting)

  const app = fastify()
  app.route({
    method: 'GET',
    url: '/*',
    handler: async (request) => {
      const { name } = actionOf(request.url)
      if (access) await access(name)
      return BODY
    },
  })
  await app.ready()
  return { server: app.server }
}
