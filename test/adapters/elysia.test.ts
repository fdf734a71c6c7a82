import { Readable } from 'node:stream'
import { Elysia, sse } from 'elysia'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sessionPlugin } from '../../src/adapters/elysia.js'
import { withSessions } from '../../src/adapters/fetch.js'
import { getSession, type Sessions } from '../../src/index.js'
import { httpScenario, type Serve } from '../../src/testing/http-scenario.js'
import { Browser } from '../helpers/browser.js'
import { startFetchServer } from '../helpers/fetch-server.js'
import type { ParkingBackend } from '../helpers/http-parking.js'
import { parkedSessions } from '../helpers/http-stage.js'
import { useScenario } from '../helpers/serve-elysia.js'

const serve: Serve = (sessions, handler) => {
  const app = useScenario(new Elysia(), sessions, handler)
  return startFetchServer((request) => app.handle(request))
}

describe('vishnu/elysia on a fetch server:', () => {
  test.each(httpScenario(serve))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

/** Elysia needs an address with a dot or a port to find the path in it. */
const PAGE = 'http://localhost/'

interface Site {
  app: Elysia
  sessions: Sessions
  store: ParkingBackend
}

function site(): Site {
  const { sessions, store } = parkedSessions()
  return { app: new Elysia().use(sessionPlugin(sessions)), sessions, store }
}

const get = (app: Pick<Elysia, 'handle'>, path = '', cookie = ''): Promise<Response> =>
  app.handle(new Request(PAGE + path, { headers: { cookie } }))

const cookieOf = (response: Response): string => response.headers.getSetCookie()[0]?.split(';')[0] ?? ''

describe("when the session can't be stored", () => {
  interface Ways {
    redirect: (path: string) => unknown
    set: { status?: unknown }
  }
  const answers: Record<string, (context: Ways) => unknown> = {
    page: ({ set }) => {
      set.status = 201
      return 'secret'
    },
    redirect: ({ redirect }) => redirect(`${PAGE}elsewhere`),
    'fetch Response': () => new Response('secret', { status: 201, headers: { etag: '"1"' } }),
    stream: () => Readable.toWeb(Readable.from(['secret'])),
  }

  function failing({ app, sessions, store }: Site, answer: (context: Ways) => unknown): Pick<Elysia, 'handle'> {
    return app.get('/', async ({ request, set, redirect, cookie }) => {
      const session = await sessions.get(request)
      session.set('user', 'ada')
      session.regenerate()
      store.fail()
      set.headers['x-prepared'] = 'yes'
      cookie['flash']?.set({ value: 'hello' })
      return answer({ set, redirect })
    })
  }

  test.each(Object.entries(answers))('Elysia answers 503 in place of a %s', async (_, answer) => {
    const response = await get(failing(site(), answer))
    expect([response.status, await response.text()]).toEqual([503, expect.stringContaining('The backend is down')])
    expect([...response.headers.keys()]).toEqual(['content-type'])
  })

  test.each(Object.entries(answers))('onError gets the error in place of a %s, and answers', async (_, answer) => {
    const stage = site()
    const seen: unknown[] = []
    stage.app.onError(({ code, error }) => {
      seen.push(code, error)
      return { sorry: true }
    })
    const response = await get(failing(stage, answer))
    expect([response.status, await response.json()]).toEqual([503, { sorry: true }])
    expect([...response.headers.keys()]).toEqual(['content-type'])
    expect(seen).toEqual(['ERR_BACKEND', expect.objectContaining({ status: 503 })])
  })

  test('the answer to another error is replaced by a plain 503', async () => {
    const app = failing(site(), () => {
      throw new Error('Thrown by the handler on purpose')
    })
    const response = await get(app)
    expect([response.status, await response.text(), response.headers.get('x-prepared')]).toEqual([
      503,
      'The session could not be stored\n',
      null,
    ])
  })
})

test("an error of the application's is answered as ever, and the session that was changed before is stored", async () => {
  const { app, sessions } = site()
  app
    .get('/', async ({ request, status }) => {
      const session = await sessions.get(request)
      session.set('user', 'ada')
      return status(418, 'short and stout')
    })
    .get('/read', async ({ request }) => String((await sessions.get(request)).get('user')))
  const failed = await get(app)
  expect([failed.status, await failed.text()]).toEqual([418, 'short and stout'])
  expect(await (await get(app, 'read', cookieOf(failed))).text()).toBe('ada')
})

test("the application's cookies and the headers of a Response are kept", async () => {
  const { app, sessions } = site()
  app.get('/', async ({ request, cookie }) => {
    const session = await sessions.get(request)
    session.set('user', 'ada')
    cookie['theme']?.set({ value: 'dark' })
    return new Response('page', { headers: { vary: 'accept', 'cache-control': 'public' } })
  })
  const { headers } = await get(app)
  expect([headers.get('vary'), headers.get('cache-control')]).toEqual(['accept, Cookie', 'no-store'])
  expect(headers.getSetCookie()).toEqual([expect.stringMatching(/^theme=dark/), expect.stringMatching(/^vishnu=/)])
})

test('a redirect, whose own headers can not be changed, carries the cookie', async () => {
  const { app, sessions } = site()
  app.get('/', async ({ request, redirect }) => {
    const session = await sessions.get(request)
    session.set('user', 'ada')
    return redirect(`${PAGE}elsewhere`)
  })
  const response = await get(app)
  expect([response.status, response.headers.getSetCookie().length]).toEqual([302, 1])
})

test('a generator streams after the session is stored that it has set', async () => {
  const { app, sessions } = site()
  app.get('/', async function* ({ request }) {
    const session = await sessions.get(request)
    session.set('visits', 1)
    yield sse('hello')
    yield sse(String(await session.update('visits', (count) => Number(count) + 1)))
  })
  const { origin, close } = await startFetchServer((request) => app.handle(request))
  onTestFinished(close)
  const { body, setCookies } = await new Browser().get(origin)
  expect([body, setCookies.length]).toEqual(['data: hello\n\ndata: 2\n\n', 1])
})

test('resolve() gives the session to handlers, typed', async () => {
  const { sessions } = parkedSessions()
  const app = new Elysia()
    .use(sessionPlugin(sessions))
    .resolve(async ({ request }) => ({ session: await sessions.get(request) }))
    .get('/', ({ session }) => session.update('visits', (count) => (typeof count === 'number' ? count + 1 : 1)))
  const first = await get(app)
  expect(await first.text()).toBe('1')
  expect(await (await get(app, '', cookieOf(first))).text()).toBe('2')
})

test('the session is found by the request, in hooks, and from anywhere below', async () => {
  const { app, sessions } = site()
  const seen: unknown[] = []
  const note = async ({ request }: { request: Request }): Promise<void> => {
    seen.push(await sessions.get(request), await sessions.current(), await getSession())
  }
  app
    .onRequest(note)
    .onBeforeHandle(note)
    .post('/', async (context) => {
      await note(context)
      return context.body
    })
  const headers = { 'content-type': 'text/plain' }
  const response = await app.handle(new Request(PAGE, { method: 'POST', body: 'text', headers }))
  expect([await response.text(), seen.length, new Set(seen).size]).toEqual(['text', 9, 1])
})

describe('used', () => {
  const setUser = async (sessions: Sessions, request: Request): Promise<string> => {
    const session = await sessions.get(request)
    session.set('user', 'ada')
    return 'page'
  }

  test('for the application and for a part of it, it works once', async () => {
    const { app, sessions, store } = site()
    const part = new Elysia({ prefix: '/part' })
      .use(sessionPlugin(sessions))
      .get('/page', ({ request }) => setUser(sessions, request))
    const response = await get(app.use(part), 'part/page')
    expect([response.headers.getSetCookie().length, store.calls]).toEqual([1, ['create']])
  })

  test('below another adapter of the same sessions, it leaves the work to that', async () => {
    const { app, sessions, store } = site()
    app.get('/', ({ request }) => setUser(sessions, request))
    const fetch = withSessions(sessions, async (request) => {
      const session = await sessions.get(request)
      session.set('outer', true)
      return app.handle(request)
    })
    const response = await fetch(new Request(PAGE))
    expect([response.headers.getSetCookie().length, store.calls]).toEqual([1, ['create']])
  })

  test('with two kinds of sessions, each has its own cookie', async () => {
    const { app, sessions } = site()
    const others = parkedSessions('other').sessions
    app
      .use(sessionPlugin(others))
      .get('/', async ({ request }) => (await setUser(sessions, request)) + (await setUser(others, request)))
    const response = await get(app)
    expect(response.headers.getSetCookie().map((line) => line.split('=')[0])).toEqual(['vishnu', 'other'])
  })
})

test('a page that is not found is answered as ever', async () => {
  const { app } = site()
  expect((await get(app, 'nowhere')).status).toBe(404)
})
