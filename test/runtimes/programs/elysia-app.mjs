import { Elysia } from 'elysia'
import { sessionPlugin } from 'vishnu/elysia'
import { streamOf } from './fetch-app.mjs'

/** An Elysia application that answers as a handler of the HTTP scenario wants it. */
export function elysiaApp(sessions, handler) {
  return new Elysia().use(sessionPlugin(sessions)).all('/*', async ({ request, set, redirect }) => {
    const { pathname: path } = new URL(request.url)
    const scenarioRequest = { method: request.method, path, session: () => sessions.get(request) }
    const { status, headers = {}, body = '' } = await handler(scenarioRequest)
    Object.assign(set.headers, headers)
    if (typeof headers.location === 'string') return redirect(headers.location, status)
    set.status = status
    return typeof body === 'string' ? body : streamOf(body)
  })
}
