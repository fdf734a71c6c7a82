import { createServer } from 'node:http'
import { BODY, FIRST_VISITS, sessionValues } from '../session-values.mjs'
import { actionOf, send } from './actions.mjs'
import { vishnuBackend } from './backends.mjs'

export async function start(setting) {
  const { library } = setting
  const { createSessions } = await import(`${library}/index.js`)
  const { sessionMiddleware } = await import(`${library}/adapters/node.js`)
  const backend = await vishnuBackend(library, setting)
  const sessions = createSessions({ secret: 's'.repeat(32), backend, timeout: 3600, autoSave: true })
  const middleware = sessionMiddleware(sessions)
  let visits = FIRST_VISITS

  async function handle(request, response) {
    const { name, bytes } = actionOf(request.url)
    if (name === 'untouched') return send(response, BODY)
    const session = await sessions.get(request)
    if (name === 'read') return send(response, `visits: ${session.get('visits')}`)
    if (name === 'write') session.set('visits', ++visits)
    if (name === 'create') for (const [key, value] of Object.entries(sessionValues(bytes))) session.set(key, value)
    return send(response, BODY)
  }

  const server = createServer((request, response) =>
    middleware(request, response, () => void handle(request, response)),
  )
  return { server, store: { object: backend, methods: ['read', 'create', 'replace', 'touch', 'delete'] } }
}
