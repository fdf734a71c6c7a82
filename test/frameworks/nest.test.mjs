import 'reflect-metadata'
import { Readable } from 'node:stream'
import { All, Catch, Controller, Get, Module, Post, Redirect, Req, Res, Sse, StreamableFile } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { from } from 'rxjs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sessionDecorator, sessionModule } from '../../src/adapters/nest.ts'
import { getSession } from '../../src/index.ts'
import { httpScenario } from '../../src/testing/http-scenario.ts'
import { Browser } from '../helpers/browser.ts'
import { parkedSessions } from '../helpers/http-stage.ts'

const platforms = [
  [
    'platform-express',
    () => {
      const adapter = new ExpressAdapter()
      // Express makes an ETag for the error page too, which the scenario would take for the one of the page before.
      adapter.set('etag', false)
      return adapter
    },
  ],
  ['platform-fastify', () => new FastifyAdapter()],
]

/** What the decorator syntax does, for plain JavaScript: `decorate(Controller(), class { ... })`. */
function decorate(decorator, target, key, parameter) {
  if (key === undefined) decorator(target)
  else decorator(target.prototype, key, parameter ?? Object.getOwnPropertyDescriptor(target.prototype, key))
}

function controller(methods, decorators) {
  class Pages {}
  for (const [name, method] of Object.entries(methods)) {
    Object.defineProperty(Pages.prototype, name, { value: method, writable: true, configurable: true })
  }
  decorate(Controller(), Pages)
  for (const [name, { method = [], parameters = [] }] of Object.entries(decorators)) {
    for (const decorator of method) decorate(decorator, Pages, name)
    for (const [index, decorator] of parameters.entries()) decorate(decorator, Pages, name, index)
  }
  return Pages
}

/** Starts Nest with one controller. */
async function start(adapter, sessions, pages, prepare = () => undefined) {
  class AppModule {}
  decorate(Module({ imports: [sessionModule(sessions)], controllers: [pages] }), AppModule)
  const app = await NestFactory.create(AppModule, adapter, { logger: false })
  prepare(app)
  await app.listen(0, '127.0.0.1')
  return { origin: await app.getUrl(), close: () => app.close() }
}

function serveNest(makeAdapter) {
  return (sessions, handler) => {
    const pages = controller(
      {
        async any(request, response) {
          const { method, url: path } = request
          const {
            status,
            headers = {},
            body = '',
          } = await handler({ method, path, session: () => sessions.get(request) })
          for (const [name, value] of Object.entries(headers)) response.header(name, value)
          response.status(status)
          return typeof body === 'string' ? body : new StreamableFile(Readable.from(body), { type: 'text/plain' })
        },
      },
      { any: { method: [All('*')], parameters: [Req(), Res({ passthrough: true })] } },
    )
    return start(makeAdapter(), sessions, pages)
  }
}

describe.each(platforms)('vishnu/nest on %s:', (_, makeAdapter) => {
  test.each(httpScenario(serveNest(makeAdapter)))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

describe.each(platforms)('Nest on %s', (_, makeAdapter) => {
  async function site(methods, decorators, prepare) {
    const { sessions, store } = parkedSessions()
    const pages = controller(methods(sessions, store), decorators(sessionDecorator(sessions)))
    const { origin, close } = await start(makeAdapter(), sessions, pages, (app) => prepare?.(app, sessions))
    onTestFinished(close)
    return { origin, sessions, store }
  }

  test('hands the session to parameters that are decorated', async () => {
    const { origin } = await site(
      () => ({
        async count(session) {
          return { visits: await session.update('visits', (visits = 0) => visits + 1) }
        },
      }),
      (CurrentSession) => ({ count: { method: [Get()], parameters: [CurrentSession()] } }),
    )
    const browser = new Browser()
    expect((await browser.get(origin)).body).toBe('{"visits":1}')
    expect((await browser.get(origin)).body).toBe('{"visits":2}')
  })

  test('has the session in guards, interceptors and handlers, also of a request with a body', async () => {
    const seen = []
    const note = async (sessions, request) => {
      seen.push(await sessions.get(request), await sessions.current(), await getSession())
    }
    const { origin } = await site(
      (sessions) => ({
        async page(request) {
          await note(sessions, request)
          return { length: request.body.text.length }
        },
      }),
      () => ({ page: { method: [Post()], parameters: [Req()] } }),
      (app, sessions) => {
        const requestOf = (context) => context.switchToHttp().getRequest()
        app.useGlobalGuards({ canActivate: (context) => note(sessions, requestOf(context)).then(() => true) })
        app.useGlobalInterceptors({
          intercept: async (context, next) => {
            await note(sessions, requestOf(context))
            return next.handle()
          },
        })
      },
    )
    const body = JSON.stringify({ text: 'x'.repeat(50_000) })
    const reply = await new Browser().post(origin, { headers: { 'content-type': 'application/json' }, body })
    expect([reply.status, reply.body]).toEqual([201, '{"length":50000}'])
    expect([seen.length, new Set(seen).size]).toEqual([9, 1])
  })

  describe("when the session can't be stored", () => {
    const ways = {
      page: { method: [Get()] },
      redirect: { method: [Get(), Redirect('/elsewhere', 302)] },
    }

    const failing = (way, prepare) =>
      site(
        (sessions, store) => ({
          async page(session, response) {
            session.set('user', 'ada')
            session.regenerate()
            response.header('x-prepared', 'yes')
            store.fail()
            return way === 'page' ? 'secret' : undefined
          },
        }),
        (CurrentSession) => ({
          page: { ...ways[way], parameters: [CurrentSession(), Res({ passthrough: true })] },
        }),
        prepare,
      )

    test.each(Object.keys(ways))("Nest's own answer takes the place of a %s", async (way) => {
      const { origin } = await failing(way)
      const { status, headers, setCookies, body } = await new Browser().get(origin)
      expect(JSON.parse(body)).toMatchObject({ statusCode: 503 })
      expect([status, setCookies, headers.location, headers['x-prepared']]).toEqual([503, [], undefined, undefined])
    })

    test.each(Object.keys(ways))('global exception filters get the error in place of a %s, and answer', async (way) => {
      const seen = []
      const { origin } = await failing(way, (app) => {
        class Filter {
          catch(error, host) {
            seen.push(error)
            app.getHttpAdapter().reply(host.switchToHttp().getResponse(), { sorry: true }, error.status)
          }
        }
        decorate(Catch(), Filter)
        app.useGlobalFilters(new Filter())
      })
      const { status, headers, setCookies, body } = await new Browser().get(origin)
      expect([status, setCookies, body]).toEqual([503, [], '{"sorry":true}'])
      expect([headers.location, headers['x-prepared']]).toEqual([undefined, undefined])
      expect(seen).toEqual([expect.objectContaining({ code: 'ERR_BACKEND', statusCode: 503 })])
    })
  })

  test('stores the session before the first of the server-sent events', async () => {
    const { origin } = await site(
      (sessions) => ({
        async *events() {
          yield { data: 'one' }
          yield { data: String(await (await sessions.current()).update('visits', () => 2)) }
        },
        stream(session) {
          session.set('visits', 1)
          return from(this.events())
        },
      }),
      (CurrentSession) => ({ stream: { method: [Sse()], parameters: [CurrentSession()] } }),
    )
    const { body, setCookies } = await new Browser().get(origin)
    expect(body.match(/data: \w+/g)).toEqual(['data: one', 'data: 2'])
    expect(setCookies).toHaveLength(1)
  })
})
