import { createServer } from 'node:http'
import Koa from 'koa'
import { BODY } from '../session-values.mjs'
import { actionOf } from './actions.mjs'
import { rawAccess } from './backends.mjs'

export async function start(setting) {
  const access = await rawAccess(setting)
  const app = new Koa()
  app.use(async (context) => {
    const { name } = actionOf(context.url)
    if (access) await access(name)
    context.body = BODY
  })
  const handle = app.callback()
  return { server: createServer((request, response) => void handle(request, response)) }
}
