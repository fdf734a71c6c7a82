import { type Context, Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { streamSSE } from 'hono/streaming'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/hono.js'
import { getSession, SessionError, type Sessions } from '../../src/index.js'
import { httpScenario, type Serve } from '../../src/testing/http-scenario.js'
import { Browser } from '../helpers/browser.js'
import { startFetchServer } from '../helpers/fetch-server.js'
import { type ParkingBackend, signal } from '../helpers/http-parking.js'
import { parkedSessions } from '../helpers/http-stage.js'
import { honoApp } from '../helpers/serve-hono.js'

const serve: Serve = (sessions, handler) => startFetchServer((request) => honoApp(sessions, handler).fetch(request))

/** Where Hono's own error handler writes what it is given. */
function listenToConsole(): { readonly errors: unknown[] } {
  const spy = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  onTestFinished(() => spy.mockRestore())
  return {
    get errors() {
      return spy.mock.calls.map(([error]) => error as unknown)
    },
  }
}

describe('vishnu/hono on a fetch server:', () => {
  test.each(httpScenario(serve))('$name', async ({ check }) => {
    listenToConsole()
    expect(await check()).toBeUndefined()
  })
})

interface Site {
  app: Hono
  sessions: Sessions
  store: ParkingBackend
}

function site(): Site {
  const { sessions, store } = parkedSessions()
  const app = new Hono()
  app.use(sessionMiddleware(sessions))
  return { app, sessions, store }
}

async function cookieOf(app: Hono, path: string): Promise<string> {
  const response = await app.request(path)
  return response.headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

describe("when the session can't be stored", () => {
  const answers: Record<string, (c: Context) => Response> = {
    page: (c) => c.text('secret', 201, { etag: '"1"' }),
    redirect: (c) => c.redirect('/elsewhere'),
    stream: (c) => streamSSE(c, (stream) => stream.writeSSE({ data: 'secret' })),
    'bare Response': () => Response.redirect('http://localhost/elsewhere', 302),
  }

  function failing(answer: (c: Context) => Response): Hono {
    const { app, sessions, store } = site()
    app.get('/', async (c) => {
      const session = await sessions.get(c)
      session.set('user', 'ada')
      session.regenerate()
      store.fail()
      c.header('x-prepared', 'yes')
      c.header('set-cookie', 'flash=hello')
      return answer(c)
    })
    return app
  }

  test.each(Object.entries(answers))('Hono answers 503 in place of a %s', async (_, answer) => {
    const response = await failing(answer).request('/')
    expect([response.status, await response.text()]).toEqual([503, 'Service Unavailable'])
    expect([...response.headers.keys()]).toEqual(['content-type'])
  })

  test.each(Object.entries(answers))('onError gets the error in place of a %s, and answers', async (_, answer) => {
    const app = failing(answer)
    const seen: unknown[] = []
    app.onError((error, c) => {
      seen.push(error)
      return c.json({ sorry: true }, error instanceof SessionError ? 503 : 500)
    })
    const response = await app.request('/')
    expect([response.status, await response.json()]).toEqual([503, { sorry: true }])
    expect([...response.headers.keys()]).toEqual(['content-type'])
    expect(seen).toEqual([expect.objectContaining({ code: 'ERR_BACKEND', status: 503 })])
  })

  test('the maker of a stream is told that nobody will read it', async () => {
    const aborted = signal()
    const app = failing((c) =>
      streamSSE(c, async (stream) => {
        stream.onAbort(aborted.fire)
        await aborted.promise
      }),
    )
    expect((await app.request('/')).status).toBe(503)
    await aborted.promise
  })
})

describe("when the backend fails in the handler's own calls", () => {
  async function outage(): Promise<{ app: Hono; cookie: string }> {
    const { app, sessions, store } = site()
    app.get('/set', async (c) => {
      const session = await sessions.get(c)
      session.set('user', 'ada')
      return c.text('set')
    })
    app.get('/', async (c) => c.text(String((await sessions.get(c)).get('user'))))
    const cookie = await cookieOf(app, '/set')
    store.fail()
    return { app, cookie }
  }

  test('Hono answers 503, logs the error, and the visitor keeps the cookie', async () => {
    const log = listenToConsole()
    const { app, cookie } = await outage()
    const response = await app.request('/', { headers: { cookie } })
    expect([response.status, response.headers.getSetCookie()]).toEqual([503, []])
    expect(log.errors).toEqual([expect.objectContaining({ code: 'ERR_BACKEND' })])
  })

  test("an error handler's page gets the status 503 where it would be 500, and any other is left alone", async () => {
    const { app, cookie } = await outage()
    const statuses = [500, 502] as const
    const seen: [number, string][] = []
    for (const status of statuses) {
      app.onError((_error, c) => c.text('sorry', status))
      const response = await app.request('/', { headers: { cookie } })
      seen.push([response.status, await response.text()])
    }
    expect(seen).toEqual([
      [503, 'sorry'],
      [502, 'sorry'],
    ])
  })
})

test("an error of the application's is answered as ever, and the session that was changed before is stored", async () => {
  const { app, sessions } = site()
  app.get('/', async (c) => {
    const session = await sessions.get(c)
    session.set('user', 'ada')
    throw new HTTPException(418, { message: 'short and stout' })
  })
  app.get('/read', async (c) => c.text(String((await sessions.get(c)).get('user'))))
  const failed = await app.request('/')
  expect([failed.status, await failed.text()]).toEqual([418, 'short and stout'])
  const cookie = failed.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  expect(await (await app.request('/read', { headers: { cookie } })).text()).toBe('ada')
})

test('server-sent events begin after the session is stored, and find it by getSession()', async () => {
  const { app, sessions, store } = site()
  app.get('/', async (c) => {
    const session = await sessions.get(c)
    session.set('visits', 1)
    return streamSSE(c, async (stream) => {
      for (let event = 0; event < 2; event++) {
        const current = await getSession<{ visits: number }>()
        const data = await current.update('visits', (count = 0) => count + 1)
        await stream.writeSSE({ event: 'visit', data: String(data) })
      }
    })
  })
  store.park()
  const answered = Promise.resolve(app.request('/'))
  await store.parked
  const first = await Promise.race([answered, new Promise((resolve) => setImmediate(resolve, 'nothing yet'))])
  expect(first).toBe('nothing yet')
  store.release()
  const response = await answered
  expect(response.headers.getSetCookie()).toHaveLength(1)
  expect(await response.text()).toBe('event: visit\ndata: 2\n\nevent: visit\ndata: 3\n\n')
})

test('the session is found by the context, by the bare request, and from anywhere below', async () => {
  const { app, sessions } = site()
  const seen: unknown[] = []
  app.get('/', async (c) => {
    seen.push(await sessions.get(c), await sessions.get(c.req.raw), await sessions.current(), await getSession())
    return c.text('page')
  })
  await app.request('/')
  expect([seen.length, new Set(seen).size]).toEqual([4, 1])
})

test('mounted twice, and for a part of the application, it works once', async () => {
  const { app, sessions, store } = site()
  const part = new Hono()
  part.use(sessionMiddleware(sessions))
  part.get('/page', async (c) => {
    const session = await sessions.get(c)
    session.set('user', 'ada')
    return c.text('page')
  })
  app.use(async (c, next) => {
    const session = await sessions.get(c)
    session.set('path', c.req.path)
    await next()
  })
  app.use(sessionMiddleware(sessions))
  app.route('/part', part)
  const response = await app.request('/part/page')
  expect([response.headers.getSetCookie().length, store.calls]).toEqual([1, ['create']])
})

test("another server's response gets the session's headers, although its own can't be changed", async () => {
  const { app, sessions } = site()
  const upstream = await startFetchServer(() => new Response('upstream', { headers: { vary: 'accept' } }))
  onTestFinished(upstream.close)
  app.get('/', async (c) => {
    const session = await sessions.get(c)
    session.set('user', 'ada')
    return fetch(upstream.origin)
  })
  const { origin, close } = await startFetchServer((request) => app.fetch(request))
  onTestFinished(close)
  const { body, headers, setCookies } = await new Browser().get(origin)
  expect([body, headers.vary, setCookies.length]).toEqual(['upstream', 'accept, Cookie', 1])
})
