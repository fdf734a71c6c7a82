import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import * as h3 from 'h3v1'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/node.ts'
import { httpScenario } from '../../src/testing/http-scenario.ts'
import { startServer } from '../helpers/http-server.ts'

function serve(sessions, handler) {
  const app = h3.createApp()
  app.use(h3.fromNodeMiddleware(sessionMiddleware(sessions)))
  app.use(
    h3.eventHandler(async (event) => {
      const { method, path, node } = event
      const { status, headers = {}, body = '' } = await handler({ method, path, session: () => sessions.get(node.req) })
      h3.setResponseHeaders(event, headers)
      if (typeof headers.location === 'string') return h3.sendRedirect(event, headers.location, status)
      h3.setResponseStatus(event, status)
      return typeof body === 'string' ? body : h3.sendStream(event, Readable.from(body))
    }),
  )
  return startServer(createServer(h3.toNodeListener(app)))
}

describe('vishnu/node on h3 1, of which Nitro 2 and Nuxt are made:', () => {
  // h3 1 runs its handlers after the middleware, not within its `next`, and its sendStream leaves streams alone.
  const cases = httpScenario(serve, { capabilities: { asyncContext: false, cancel: false } })
  test.each(cases)('$name', async ({ check }) => {
    // h3 writes unexpected errors there.
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    onTestFinished(() => log.mockRestore())
    expect(await check()).toBeUndefined()
  })
})
