import { Readable } from 'node:stream'
import type { Elysia } from 'elysia'
import { sessionPlugin } from '../../src/adapters/elysia.js'
import type { Sessions } from '../../src/index.js'
import type { ScenarioHandler } from '../../src/testing/http-scenario.js'

/** An Elysia application for the HTTP scenario, with Elysia's own error handler. */
export function useScenario(app: Elysia, sessions: Sessions, handler: ScenarioHandler): Elysia {
  app.use(sessionPlugin(sessions)).all('/*', async ({ request, set, redirect }) => {
    const { pathname: path } = new URL(request.url)
    const scenarioRequest = { method: request.method, path, session: () => sessions.get(request) }
    const { status, headers = {}, body = '' } = await handler(scenarioRequest)
    Object.assign(set.headers, headers)
    const { location } = headers
    // Outside of Bun it takes whole addresses only.
    if (typeof location === 'string') return redirect(new URL(location, request.url).href, status as 302)
    set.status = status
    return typeof body === 'string' ? body : (Readable.toWeb(Readable.from(body)) as ReadableStream)
  })
  return app
}
