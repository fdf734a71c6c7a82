import { once } from 'node:events'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sessionPlugin } from '../../src/adapters/fastify.js'
import { getSession, SessionError, type Sessions } from '../../src/index.js'
import { httpScenario, type ScenarioAnswer, type Serve } from '../../src/testing/http-scenario.js'
import { Browser } from '../helpers/browser.js'
import { type ParkingBackend, signal } from '../helpers/http-parking.js'
import { parkedSessions } from '../helpers/http-stage.js'
import { Wire } from '../helpers/http-wire.js'

const serve: Serve = async (sessions, handler) => {
  const app = Fastify()
  await app.register(sessionPlugin(sessions))
  app.all('/*', async (request, reply) =>
    send(reply, await handler({ method: request.method, path: request.url, session: () => sessions.get(request) })),
  )
  return { origin: await listen(app), close: () => app.close() }
}

function send(reply: FastifyReply, { status, headers = {}, body = '' }: ScenarioAnswer): FastifyReply {
  const { location, ...others } = headers
  void reply.code(status).headers(others)
  if (typeof location === 'string') return reply.redirect(location, status)
  return reply.send(typeof body === 'string' ? body : Readable.from(body))
}

async function listen(app: FastifyInstance): Promise<string> {
  return app.listen({ host: '127.0.0.1', port: 0 })
}

describe('vishnu/fastify:', () => {
  test.each(httpScenario(serve))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

interface Site {
  app: FastifyInstance
  sessions: Sessions
  store: ParkingBackend
}

async function site(): Promise<Site> {
  const { sessions, store } = parkedSessions()
  const app = Fastify()
  onTestFinished(() => app.close())
  await app.register(sessionPlugin(sessions))
  return { app, sessions, store }
}

describe("when the session can't be stored", () => {
  const answers: Record<string, (reply: FastifyReply) => unknown> = {
    page: (reply) => reply.code(201).header('etag', '"1"').send('secret'),
    redirect: (reply) => reply.redirect('/elsewhere'),
    'reply that the handler does not return': (reply) => void reply.code(201).send('secret'),
    stream: (reply) => reply.header('etag', '"1"').send(Readable.from(['secret'])),
    'fetch Response': () => new Response('secret', { status: 201, headers: { etag: '"1"' } }),
  }

  async function failing(answer: (reply: FastifyReply) => unknown): Promise<Site> {
    const { app, sessions, store } = await site()
    app.get('/', async (request, reply) => {
      const session = await sessions.get(request)
      session.set('user', 'ada')
      session.regenerate()
      store.fail()
      void reply.header('set-cookie', 'flash=hello')
      return answer(reply)
    })
    return { app, sessions, store }
  }

  test.each(Object.entries(answers))("Fastify's own error page takes the place of a %s", async (_, answer) => {
    const { app } = await failing(answer)
    const { status, headers, setCookies, body } = await new Browser().get(await listen(app))
    expect(JSON.parse(body)).toMatchObject({ statusCode: 503, code: 'ERR_BACKEND', error: 'Service Unavailable' })
    expect([status, setCookies, headers.location, headers.etag]).toEqual([503, [], undefined, undefined])
  })

  test.each(Object.entries(answers))(
    'the error handler gets the error in place of a %s, and answers',
    async (_, answer) => {
      const { app } = await failing(answer)
      const seen: unknown[] = []
      app.setErrorHandler<SessionError>(async (error) => {
        seen.push(error)
        // What careless error pages leave out is a status of their own.
        return { sorry: error.code }
      })
      const { status, headers, setCookies, body } = await new Browser().get(await listen(app))
      expect([status, body, setCookies]).toEqual([503, '{"sorry":"ERR_BACKEND"}', []])
      expect([headers.location, headers.etag]).toEqual([undefined, undefined])
      expect(seen).toEqual([expect.any(SessionError)])
    },
  )

  test('a new id that could not be stored is not tried again for the error page', async () => {
    const { app, sessions, store } = await site()
    app.get('/', async (request, _reply) => {
      const session = await sessions.get(request)
      if (session.started) {
        session.regenerate()
        store.fail()
      }
      session.set('user', 'ada')
      return 'page'
    })
    const origin = await listen(app)
    const browser = new Browser()
    await browser.get(origin)
    store.calls.length = 0
    const { status, body } = await browser.get(origin)
    expect([status, JSON.parse(body), store.calls]).toEqual([
      503,
      expect.objectContaining({ code: 'ERR_BACKEND' }),
      ['read', 'create'],
    ])
  })

  test('a reply that bypasses Fastify is replaced by a plain 503', async () => {
    const { app } = await failing((reply) => {
      reply.hijack()
      reply.raw.writeHead(200, { etag: '"1"' }).end('secret')
    })
    const { status, headers, body } = await new Browser().get(await listen(app))
    expect([status, body, headers.etag]).toEqual([503, 'Service Unavailable\n', undefined])
  })
})

test('a reply that bypasses Fastify begins only after its session is stored', async () => {
  const { app, sessions, store } = await site()
  app.get('/', async (request, reply) => {
    const session = await sessions.get(request)
    session.set('user', 'ada')
    reply.hijack()
    reply.raw.writeHead(200).write('one ')
    reply.raw.end('two')
  })
  store.park()
  const wire = await Wire.dial(Number(new URL(await listen(app)).port))
  onTestFinished(() => wire.abort())
  wire.request('GET', '/')
  await store.parked
  expect(wire.text).toBe('')
  store.release()
  expect(await wire.until(/two/)).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*set-cookie: vishnu=/i)
})

test('a cookie reaches the visitor although an onSend hook fails after the session was stored', async () => {
  const { app, sessions } = await site()
  app.addHook('onSend', async (_request, _reply, payload) => {
    if (payload === 'page') throw new Error('Thrown by a hook on purpose')
  })
  app.get('/', async (request, _reply) => {
    const session = await sessions.get(request)
    session.set('user', 'ada')
    return 'page'
  })
  const { status, setCookies } = await new Browser().get(await listen(app))
  expect([status, setCookies.length]).toEqual([500, 1])
})

test('a reply that the handler does not return is sent once', async () => {
  const { app, sessions } = await site()
  const sent: unknown[] = []
  app.addHook('onSend', async (_request, _reply, payload) => void sent.push(payload))
  app.get('/', async (request, reply) => {
    const session = await sessions.get(request)
    session.set('user', 'ada')
    void reply.send('page')
  })
  const { status, body, setCookies } = await new Browser().get(await listen(app))
  expect([status, body, setCookies.length, sent]).toEqual([200, 'page', 1, ['page']])
})

test("a reply that Fastify can't send is an error as ever, also after the session was stored", async () => {
  const { app, sessions } = await site()
  app.get('/', async (request, reply) => {
    const session = await sessions.get(request)
    session.set('user', 'ada')
    return reply.header('x-impossible', 'line\nbreak').send('page')
  })
  const { status, setCookies } = await new Browser().get(await listen(app))
  expect([status, setCookies.length]).toEqual([500, 1])
})

test("a fetch Response keeps its headers, and gets the session's", async () => {
  const { app, sessions } = await site()
  app.get('/', async (request, _reply) => {
    const session = await sessions.get(request)
    session.set('user', 'ada')
    const headers = { vary: 'Accept', 'cache-control': 'public', 'set-cookie': 'theme=dark' }
    return new Response('page', { status: 201, headers })
  })
  const { status, headers, setCookies, body } = await new Browser().get(await listen(app))
  expect([status, body, headers.vary, headers['cache-control']]).toEqual([201, 'page', 'Accept, Cookie', 'no-store'])
  expect(setCookies).toEqual(['theme=dark', expect.stringMatching(/^vishnu=/)])
})

test('inject() sees the same as a browser', async () => {
  const { app, sessions } = await site()
  app.get('/', async (request, _reply) => {
    const session = await sessions.get(request)
    return { visits: await session.update('visits', (count) => (typeof count === 'number' ? count + 1 : 1)) }
  })
  const first = await app.inject('/')
  expect([first.json(), first.cookies.map(({ name }) => name)]).toEqual([{ visits: 1 }, ['vishnu']])
  const cookies = { vishnu: first.cookies[0]?.value ?? '' }
  expect((await app.inject({ url: '/', cookies })).json()).toEqual({ visits: 2 })
  const head = await app.inject({ method: 'HEAD', url: '/', cookies })
  expect([head.statusCode, head.body, head.headers.vary]).toEqual([200, '', 'Cookie'])
})

test('getSession() works in hooks and handlers, also of a request whose body comes late', async () => {
  const { app, sessions } = await site()
  const seen: unknown[] = []
  const arrived = signal()
  const note = async (): Promise<void> => void seen.push(await getSession(), await sessions.current())
  app.addHook('onRequest', async () => {
    await note()
    arrived.fire()
  })
  for (const hook of ['preValidation', 'preHandler', 'preSerialization'] as const) app.addHook(hook, note)
  app.post('/', async (request, _reply) => {
    await note()
    seen.push(await sessions.get(request.raw))
    return { body: request.body }
  })
  const outgoing = httpRequest(await listen(app), { method: 'POST', headers: { 'content-type': 'text/plain' } })
  outgoing.flushHeaders()
  await arrived.promise
  outgoing.end('text')
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  expect(await text(incoming)).toBe('{"body":"text"}')
  expect([seen.length, new Set(seen).size]).toEqual([11, 1])
})

describe('registered', () => {
  const path = async (sessions: Sessions, request: object): Promise<string> => {
    const session = await sessions.get(request)
    session.set('path', 'stored')
    return 'page'
  }

  test('in a plugin, it serves the routes of that plugin only', async () => {
    const { sessions } = parkedSessions()
    const app = Fastify()
    onTestFinished(() => app.close())
    app.get('/outside', (request) => path(sessions, request))
    await app.register(async (part) => {
      await part.register(sessionPlugin(sessions))
      part.get('/inside', (request) => path(sessions, request))
    })
    expect((await app.inject('/inside')).cookies).toHaveLength(1)
    expect((await app.inject('/outside')).json()).toMatchObject({ code: 'ERR_NO_MIDDLEWARE' })
  })

  test('for the application and for a plugin of it, it works once', async () => {
    const { app, sessions, store } = await site()
    app.addHook('onRequest', async (request) => void (await path(sessions, request)))
    await app.register(async (part) => {
      await part.register(sessionPlugin(sessions))
      part.get('/', (request) => path(sessions, request))
    })
    expect((await app.inject('/')).cookies).toHaveLength(1)
    expect(store.calls).toEqual(['create'])
  })

  test('with two kinds of sessions, each has its own cookie', async () => {
    const { app, sessions } = await site()
    const others = parkedSessions('other').sessions
    await app.register(sessionPlugin(others))
    app.get('/', async (request, _reply) => (await path(sessions, request)) + (await path(others, request)))
    const { cookies, body } = await app.inject('/')
    expect([body, cookies.map(({ name }) => name)]).toEqual(['pagepage', ['vishnu', 'other']])
  })
})

test('a page that is not found has a session too', async () => {
  const { app, sessions } = await site()
  app.setNotFoundHandler(async (request, reply) => {
    const session = await sessions.get(request)
    session.set('lost', true)
    return reply.code(404).send('no such page')
  })
  const { status, setCookies } = await new Browser().get(`${await listen(app)}/nowhere`)
  expect([status, setCookies.length]).toEqual([404, 1])
})
