import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import Koa, { type Context, type Middleware } from 'koa'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/koa.js'
import { getSession, SessionError, type Sessions } from '../../src/index.js'
import { httpScenario } from '../../src/testing/http-scenario.js'
import { Browser } from '../helpers/browser.js'
import type { ParkingBackend } from '../helpers/http-parking.js'
import { parkedSessions } from '../helpers/http-stage.js'
import { Wire } from '../helpers/http-wire.js'
import { serveKoa, startKoa } from '../helpers/serve-koa.js'

describe('vishnu/koa on Koa 3:', () => {
  test.each(httpScenario(serveKoa(Koa)))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

interface Site {
  app: Koa
  sessions: Sessions
  store: ParkingBackend
  /** What Koa's `error` event told. */
  errors: unknown[]
  start: () => Promise<{ origin: string; port: number }>
}

function site(...above: Middleware[]): Site {
  const { sessions, store } = parkedSessions()
  const errors: unknown[] = []
  const app = new Koa()
  app.on('error', (error: unknown) => errors.push(error))
  for (const middleware of above) app.use(middleware)
  app.use(sessionMiddleware(sessions))
  const start = async (): Promise<{ origin: string; port: number }> => {
    const { origin, port, close } = await startKoa(app)
    onTestFinished(async () => {
      store.release()
      await close()
    })
    return { origin, port }
  }
  return { app, sessions, store, errors, start }
}

const answers: Record<string, (ctx: Context) => void> = {
  page: (ctx) => {
    ctx.status = 201
    ctx.body = 'secret'
  },
  redirect: (ctx) => ctx.redirect('/elsewhere'),
  stream: (ctx) => {
    ctx.body = Readable.from(['secret'])
  },
}

/** Every page sets a value and a header; then the backend goes down, then it answers. */
function failing({ app, sessions, store }: Site, answer: (ctx: Context) => void): void {
  app.use(async (ctx) => {
    const session = await sessions.get(ctx)
    session.set('user', 'ada')
    session.regenerate()
    ctx.set({ etag: '"1"', 'set-cookie': 'flash=hello' })
    store.fail()
    answer(ctx)
  })
}

describe("when the session can't be stored", () => {
  test.each(Object.entries(answers))("Koa's own error page takes the place of a %s", async (_, answer) => {
    const stage = site()
    failing(stage, answer)
    const { origin } = await stage.start()
    const { status, headers, setCookies, body } = await new Browser().get(origin)
    expect([status, body, setCookies]).toEqual([503, 'Service Unavailable', []])
    expect([headers.location, headers.etag]).toEqual([undefined, undefined])
    expect(stage.errors).toEqual([expect.objectContaining({ code: 'ERR_BACKEND' })])
  })

  test.each(Object.entries(answers))('middleware above catches the error in place of a %s', async (_, answer) => {
    const seen: unknown[] = []
    // What careless error pages leave out: a status of their own, or a body.
    for (const apologize of [(ctx: Context) => (ctx.body = 'sorry'), (ctx: Context) => (ctx.status = 500)]) {
      const stage = site(async (ctx, next) => {
        await next().catch((error: unknown) => {
          seen.push(error)
          apologize(ctx)
        })
      })
      failing(stage, answer)
      const { origin } = await stage.start()
      const { status, headers, setCookies, body } = await new Browser().get(origin)
      seen.push([status, body, setCookies, headers.location, headers.etag])
      expect(stage.errors).toEqual([])
    }
    expect(seen).toEqual([
      expect.any(SessionError),
      [503, 'sorry', [], undefined, undefined],
      expect.any(SessionError),
      [500, 'Internal Server Error', [], undefined, undefined],
    ])
  })

  test.each<[string, (ctx: Context) => unknown]>([
    ['Koa', (ctx) => (ctx.body = 'page')],
    ['the handler itself', (ctx) => ctx.res.end('page')],
  ])('a new id that could not be stored is not tried again for the error page, where %s answers', async (_, answer) => {
    const stage = site()
    const { app, sessions, store } = stage
    app.use(async (ctx) => {
      const session = await sessions.get(ctx)
      if (session.started) {
        session.regenerate()
        store.fail()
      }
      session.set('user', 'ada')
      answer(ctx)
    })
    const { origin } = await stage.start()
    const browser = new Browser()
    await browser.get(origin)
    store.calls.length = 0
    expect(await browser.get(origin)).toMatchObject({ status: 503, body: 'Service Unavailable' })
    expect([store.calls, stage.errors.length]).toEqual([['read', 'create'], 1])
  })

  test('an error page of another error gives way to the one of the outage', async () => {
    const stage = site()
    failing(stage, () => {
      throw new Error('Thrown by the handler on purpose')
    })
    const { origin } = await stage.start()
    const { status, body } = await new Browser().get(origin)
    expect([status, body]).toEqual([503, 'Service Unavailable'])
    expect(stage.errors).toEqual([
      expect.objectContaining({ message: 'Thrown by the handler on purpose' }),
      expect.objectContaining({ code: 'ERR_BACKEND' }),
    ])
  })

  test.each([
    ['says so', false],
    ['does not', undefined],
  ])('the answer of a handler that bypasses Koa, and %s, is replaced by the error page', async (_, respond) => {
    const stage = site()
    failing(stage, (ctx) => {
      Object.assign(ctx, { respond })
      ctx.res.end('secret')
    })
    const { origin } = await stage.start()
    const { status, headers, body } = await new Browser().get(origin)
    expect([status, body, headers.etag]).toEqual([503, 'Service Unavailable', undefined])
    expect(stage.errors).toHaveLength(1)
  })
})

test('a handler that answers past Koa, and later, has its session stored first', async () => {
  const { app, sessions, store, start } = site()
  app.use(async (ctx) => {
    ctx.respond = false
    void (async () => {
      const session = await sessions.get(ctx)
      await nextTurn()
      session.set('user', 'ada')
      ctx.res.writeHead(200).write('one ')
      ctx.res.end('two')
    })()
  })
  store.park()
  const { port } = await start()
  const wire = await Wire.dial(port)
  onTestFinished(() => wire.abort())
  wire.request('GET', '/')
  await store.parked
  expect(wire.text).toBe('')
  store.release()
  expect(await wire.until(/two/)).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*set-cookie: vishnu=/i)
})

test('a cookie reaches the visitor although middleware above fails after the session was stored', async () => {
  const { app, sessions, start } = site(async (_ctx, next) => {
    await next()
    throw new Error('Thrown by middleware on purpose')
  })
  app.use(async (ctx) => {
    const session = await sessions.get(ctx)
    session.set('user', 'ada')
    ctx.body = 'page'
  })
  const { origin } = await start()
  const { status, setCookies } = await new Browser().get(origin)
  expect([status, setCookies.length]).toEqual([500, 1])
})

test('an error of the application is answered as ever, and the session that was changed before is stored', async () => {
  const { app, sessions, errors, start } = site()
  app.use(async (ctx) => {
    const session = await sessions.get(ctx)
    if (ctx.path === '/read') ctx.body = String(session.get('user'))
    else session.set('user', 'ada')
    if (ctx.path !== '/read') ctx.throw(418, 'short and stout')
  })
  const { origin } = await start()
  const browser = new Browser()
  expect(await browser.get(origin)).toMatchObject({ status: 418, body: 'short and stout' })
  expect(await browser.get(`${origin}/read`)).toMatchObject({ status: 200, body: 'ada' })
  expect(errors).toHaveLength(1)
})

test('the session is found by the context, by the bare request, and from anywhere below', async () => {
  const { app, sessions, start } = site()
  const seen: unknown[] = []
  app.use(async (_ctx, next) => {
    await next()
    seen.push(await sessions.current())
  })
  app.use(async (ctx) => {
    seen.push(await sessions.get(ctx), await sessions.get(ctx.req), await getSession())
    ctx.body = 'page'
  })
  const { origin } = await start()
  await new Browser().get(origin)
  expect([seen.length, new Set(seen).size]).toEqual([4, 1])
})

test('mounted twice, it works once', async () => {
  const { app, sessions, store, start } = site()
  const set = (key: string): Middleware => {
    return async (ctx, next) => {
      const session = await sessions.get(ctx)
      session.set(key, 'kept')
      ctx.body = 'page'
      await next()
    }
  }
  app.use(set('one'))
  app.use(sessionMiddleware(sessions))
  app.use(set('other'))
  const { origin } = await start()
  const { setCookies } = await new Browser().get(origin)
  expect([setCookies.length, store.calls]).toEqual([1, ['create']])
})
