// The session is in the cookie, encrypted: no store, no log-out for good, and at most 4 KB.
import { createServer } from 'node:http'
import { getIronSession } from 'iron-session'
import { BODY, FIRST_VISITS, sessionValues } from '../session-values.mjs'
import { actionOf, send } from './actions.mjs'

export async function start() {
  const options = { cookieName: 'iron', password: 's'.repeat(32), ttl: 3600, cookieOptions: { secure: false } }
  let visits = FIRST_VISITS

  async function handle(request, response) {
    const { name, bytes } = actionOf(request.url)
    if (name === 'untouched') return send(response, BODY)
    const session = await getIronSession(request, response, options)
    if (name === 'read') return send(response, `visits: ${session.visits}`)
    if (name === 'write') session.visits = ++visits
    if (name === 'create') Object.assign(session, sessionValues(bytes))
    await session.save()
    return send(response, BODY)
  }

  return { server: createServer((request, response) => void handle(request, response)) }
}
