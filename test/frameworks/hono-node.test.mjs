import { once } from 'node:events'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/hono.ts'
import { httpScenario } from '../../src/testing/http-scenario.ts'
import { Browser } from '../helpers/browser.ts'
import { parkedSessions } from '../helpers/http-stage.ts'
import { Wire } from '../helpers/http-wire.ts'
import { honoApp } from '../helpers/serve-hono.ts'

async function start(app) {
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 })
  if (!server.listening) await once(server, 'listening')
  const { port } = server.address()
  const close = async () => {
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  return { origin: `http://127.0.0.1:${port}`, port, close }
}

describe('vishnu/hono on @hono/node-server:', () => {
  test.each(httpScenario((sessions, handler) => start(honoApp(sessions, handler))))('$name', async ({ check }) => {
    // Hono's own error handler writes there.
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    onTestFinished(() => log.mockRestore())
    expect(await check()).toBeUndefined()
  })
})

describe('on @hono/node-server', () => {
  async function site(prepare) {
    const { sessions, store } = parkedSessions()
    const app = new Hono()
    app.use(sessionMiddleware(sessions))
    prepare(app, sessions)
    const { origin, port, close } = await start(app)
    onTestFinished(close)
    return { origin, port, store }
  }

  test('a redirect and server-sent events begin only after the session is stored', async () => {
    const { port, store } = await site((app, sessions) => {
      const change = async (c, next) => {
        const session = await sessions.get(c)
        session.set('path', c.req.path)
        await next()
      }
      app.get('/redirect', change, (c) => c.redirect('/elsewhere'))
      app.get('/events', change, (c) => streamSSE(c, (stream) => stream.writeSSE({ data: 'hello' })))
    })
    for (const [path, expected] of [
      ['/redirect', /^HTTP\/1.1 302 Found\r\n[^]*\r\n\r\n/],
      ['/events', /^HTTP\/1.1 200 OK\r\n[^]*data: hello/],
    ]) {
      store.park()
      const wire = await Wire.dial(port)
      onTestFinished(() => wire.abort())
      wire.request('GET', path)
      await store.parked
      expect(wire.text).toBe('')
      store.release()
      expect(await wire.until(expected)).toMatch(/\r\nset-cookie: vishnu=/i)
    }
  })

  test('HEAD has the headers of the session, and no body', async () => {
    const { origin } = await site((app, sessions) => {
      app.get('/', async (c) => {
        const session = await sessions.get(c)
        session.set('user', 'ada')
        return c.text('page')
      })
    })
    const { status, headers, setCookies, body } = await new Browser().request('HEAD', origin)
    expect([status, headers.vary, setCookies.length, body]).toEqual([200, 'Cookie', 1, ''])
  })
})
