import { connect, createSecureServer, createServer } from 'node:http2'
import { Readable } from 'node:stream'
import Koa from 'koa'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/koa.ts'
import { httpScenario } from '../../src/testing/http-scenario.ts'
import { startGateway } from '../helpers/http-gateway.ts'
import { replyOf } from '../helpers/http-http2-client.ts'
import { startServer } from '../helpers/http-server.ts'
import { parkedSessions } from '../helpers/http-stage.ts'
import { certificate, key } from '../helpers/self-signed.ts'

function koaApp(sessions, answer) {
  const app = new Koa()
  // Keeps the errors of these tests out of their output.
  app.silent = true
  app.use(sessionMiddleware(sessions))
  app.use(answer)
  const handle = app.callback()
  return (request, response) => void handle(request, response)
}

async function serve(sessions, handler) {
  const app = koaApp(sessions, async (ctx) => {
    const { method, url: path } = ctx
    const { status, headers = {}, body = '' } = await handler({ method, path, session: () => sessions.get(ctx) })
    ctx.status = status
    ctx.set(headers)
    if (typeof headers.location === 'string') ctx.redirect(headers.location)
    else ctx.body = typeof body === 'string' ? body : Readable.from(body)
  })
  const inner = await startServer(createServer(app))
  const gateway = await startGateway(inner.origin)
  const close = async () => {
    await gateway.close()
    await inner.close()
  }
  return { origin: gateway.origin, close }
}

describe('vishnu/koa on HTTP/2:', () => {
  test.each(httpScenario(serve))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

test('over TLS, as browsers speak HTTP/2, no frame of Koa leaves before the session is stored', async () => {
  const { sessions, store } = parkedSessions()
  const app = koaApp(sessions, async (ctx) => {
    if (ctx.path === '/ping') return void (ctx.body = 'pong')
    const session = await sessions.get(ctx)
    session.set('path', ctx.path)
    ctx.body = Readable.from(['a', 'page'])
  })
  const { port, close } = await startServer(createSecureServer({ key, cert: certificate }, app))
  const client = connect(`https://127.0.0.1:${port}`, { ca: certificate })
  onTestFinished(async () => {
    store.release()
    client.destroy()
    await close()
  })
  const get = (path) => replyOf(client.request({ ':path': path }))
  store.park()
  let isAnswered = false
  const page = get('/page').finally(() => {
    isAnswered = true
  })
  await store.parked
  // Others come and go on the same connection.
  for (let turn = 0; turn < 3; turn++) expect((await get('/ping')).body.toString()).toBe('pong')
  expect(isAnswered).toBe(false)
  store.release()
  const { status, setCookies, body } = await page
  expect([status, setCookies.length, body.toString()]).toEqual([200, 1, 'apage'])
})
