import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { createEventStream, H3, type H3Event, HTTPError, redirect, toNodeHandler } from 'h3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/h3.js'
import { getSession, type Sessions } from '../../src/index.js'
import { httpScenario, type ScenarioHandler } from '../../src/testing/http-scenario.js'
import { Browser } from '../helpers/browser.js'
import { startFetchServer } from '../helpers/fetch-server.js'
import { type ParkingBackend, signal } from '../helpers/http-parking.js'
import { startServer } from '../helpers/http-server.js'
import { parkedSessions } from '../helpers/http-stage.js'

function scenarioApp(sessions: Sessions, handler: ScenarioHandler): H3 {
  // Silent: the errors of these tests need not be printed.
  const app = new H3({ silent: true })
  app.use(sessionMiddleware(sessions))
  app.all('/**', async (event) => {
    const request = { method: event.req.method, path: event.url.pathname, session: () => sessions.get(event) }
    const { status, headers = {}, body = '' } = await handler(request)
    for (const [name, value] of Object.entries(headers)) {
      for (const item of [value].flat()) event.res.headers.append(name, item)
    }
    if (typeof headers['location'] === 'string') return redirect(headers['location'], status)
    // The two ways to answer with a status: h3 treats their headers differently.
    if (status >= 400) return new Response(textOrStream(body), { status })
    event.res.status = status
    return textOrStream(body)
  })
  return app
}

function textOrStream(body: string | AsyncIterable<string>): string | ReadableStream {
  return typeof body === 'string' ? body : (Readable.toWeb(Readable.from(body)) as ReadableStream)
}

describe('vishnu/h3 on toNodeHandler:', () => {
  const cases = httpScenario((sessions, handler) =>
    startServer(createServer(toNodeHandler(scenarioApp(sessions, handler)))),
  )
  test.each(cases)('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

describe('vishnu/h3 on a fetch server:', () => {
  const cases = httpScenario((sessions, handler) =>
    startFetchServer((request) => scenarioApp(sessions, handler).fetch(request)),
  )
  test.each(cases)('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

interface Site {
  app: H3
  sessions: Sessions
  store: ParkingBackend
}

function site(onError?: (error: HTTPError, event: H3Event) => unknown): Site {
  const { sessions, store } = parkedSessions()
  const app = new H3({ silent: true, ...(onError && { onError }) })
  app.use(sessionMiddleware(sessions))
  return { app, sessions, store }
}

describe("when the session can't be stored", () => {
  const answers: Record<string, (event: H3Event) => unknown> = {
    page: (event) => {
      event.res.status = 201
      return 'secret'
    },
    redirect: () => redirect('/elsewhere'),
    'fetch Response': () => new Response('secret', { status: 201, headers: { etag: '"1"' } }),
    stream: () => new ReadableStream({ start: (controller) => controller.enqueue('secret') }),
  }

  function failing(answer: (event: H3Event) => unknown, { app, sessions, store }: Site): H3 {
    return app.get('/', async (event) => {
      const session = await sessions.get(event)
      session.set('user', 'ada')
      session.regenerate()
      store.fail()
      event.res.headers.set('x-prepared', 'yes')
      event.res.headers.set('set-cookie', 'flash=hello')
      event.res.errHeaders.set('x-prepared', 'yes')
      return answer(event)
    })
  }

  test.each(Object.entries(answers))('h3 answers 503 in place of a %s', async (_, answer) => {
    const response = await failing(answer, site()).request('/')
    expect(await response.json()).toMatchObject({ status: 503, unhandled: true })
    expect([response.status, [...response.headers.keys()]]).toEqual([503, ['content-type']])
  })

  test.each(Object.entries(answers))('onError gets the error in place of a %s, and answers', async (_, answer) => {
    const seen: unknown[] = []
    const stage = site((error) => {
      seen.push(error.cause)
      // What careless error pages leave out is a status of their own.
      return { sorry: true }
    })
    const response = await failing(answer, stage).request('/')
    expect(await response.json()).toEqual({ sorry: true })
    expect([response.status, [...response.headers.keys()]]).toEqual([503, ['content-type']])
    expect(seen).toEqual([expect.objectContaining({ code: 'ERR_BACKEND', status: 503 })])
  })

  test('the maker of a stream is told that nobody will read it', async () => {
    const cancelled = signal()
    const app = failing(() => new ReadableStream({ cancel: cancelled.fire }), site())
    expect((await app.request('/')).status).toBe(503)
    await cancelled.promise
  })
})

describe("an error of the application's is answered as ever, and the session that was changed before is stored", () => {
  test.each([
    ["h3's own answer", undefined],
    ['what onError makes of it', () => 'short and stout'],
  ])('with %s', async (_, onError) => {
    const { app, sessions } = site(onError)
    app.get('/', async (event) => {
      const session = await sessions.get(event)
      session.set('user', 'ada')
      throw new HTTPError({ status: 418, message: 'short and stout' })
    })
    app.get('/read', async (event) => String((await sessions.get(event)).get('user')))
    const failed = await app.request('/')
    expect(await failed.text()).toContain('short and stout')
    const cookie = failed.headers.getSetCookie()[0]?.split(';')[0] ?? ''
    expect(await (await app.request('/read', { headers: { cookie } })).text()).toBe('ada')
  })
})

test('the headers of a Response, and those prepared beside it, are both kept', async () => {
  const { app, sessions } = site()
  app.get('/', async (event) => {
    const session = await sessions.get(event)
    session.set('user', 'ada')
    event.res.headers.set('set-cookie', 'theme=dark')
    return new Response('page', { headers: { vary: 'accept', 'cache-control': 'public', 'set-cookie': 'flash=hello' } })
  })
  const { headers } = await app.request('/')
  expect([headers.get('vary'), headers.get('cache-control')]).toEqual(['accept, Cookie', 'no-store'])
  expect(headers.getSetCookie().toSorted()).toEqual(['flash=hello', 'theme=dark', expect.stringMatching(/^vishnu=/)])
})

test('server-sent events begin after the session is stored', async () => {
  const { app, sessions, store } = site()
  app.get('/', async (event) => {
    const session = await sessions.get(event)
    session.set('visits', 1)
    const stream = createEventStream(event)
    void stream.push('hello').then(() => stream.close())
    return stream.send()
  })
  store.park()
  const { origin, close } = await startServer(createServer(toNodeHandler(app)))
  onTestFinished(close)
  const log: string[] = []
  const reply = new Browser().get(origin).then((answer) => {
    log.push('answered')
    return answer
  })
  await store.parked
  log.push('stored')
  store.release()
  const { body, setCookies } = await reply
  expect([log, body, setCookies.length]).toEqual([['stored', 'answered'], 'data: hello\n\n', 1])
})

test('the session is found by the event, by the bare request, and from anywhere below', async () => {
  const { app, sessions } = site()
  const seen: unknown[] = []
  app.post('/', async (event) => {
    await event.req.text()
    seen.push(await sessions.get(event), await sessions.get(event.req), await sessions.current(), await getSession())
    return 'page'
  })
  const { origin, close } = await startServer(createServer(toNodeHandler(app)))
  onTestFinished(close)
  await new Browser().post(origin, { body: 'text' })
  expect([seen.length, new Set(seen).size]).toEqual([4, 1])
})

test('mounted twice, and for a part of the application, it works once', async () => {
  const { app, sessions, store } = site()
  const set = async (event: H3Event, key: string): Promise<void> => {
    const session = await sessions.get(event)
    session.set(key, 'kept')
  }
  app.use((event) => set(event, 'one'))
  app.use(sessionMiddleware(sessions))
  const part = new H3()
  part.use(sessionMiddleware(sessions))
  part.get('/page', async (event) => {
    await set(event, 'other')
    return 'page'
  })
  app.mount('/part', part)
  const response = await app.request('/part/page')
  expect([response.headers.getSetCookie().length, store.calls]).toEqual([1, ['create']])
})

test('a page that is not found is answered as ever', async () => {
  const { app } = site()
  expect((await app.request('/nowhere')).status).toBe(404)
})
