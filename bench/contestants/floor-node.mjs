import { createServer } from 'node:http'
import { BODY } from '../session-values.mjs'
import { actionOf, send } from './actions.mjs'
import { rawAccess } from './backends.mjs'

export async function start(setting) {
  const access = await rawAccess(setting)

  function handle(request, response) {
    const { name } = actionOf(request.url)
    if (access) void access(name).then(() => send(response, BODY))
    else send(response, BODY)
  }

  return { server: createServer(handle) }
}
