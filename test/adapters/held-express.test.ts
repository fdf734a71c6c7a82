import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express5 from 'express'
import type { ErrorRequestHandler, Express, Request, Response } from 'express'
import express4 from 'express4'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/express.js'
import type { Session } from '../../src/index.js'
import { Browser } from '../helpers/browser.js'
import type { ParkingBackend } from '../helpers/http-parking.js'
import { startServer } from '../helpers/http-server.js'
import { parkedSessions } from '../helpers/http-stage.js'
import { Wire } from '../helpers/http-wire.js'

type Answer = (response: Response, request: Request, session: Session) => unknown

let folder = ''
const text = 'The text of a file. '.repeat(5000)
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vishnu-'))
  await writeFile(join(folder, 'file.txt'), text)
})
afterAll(() => rm(folder, { recursive: true }))

describe.each([
  ['Express 4', express4],
  ['Express 5', express5],
])('on %s', (_, createApp) => {
  interface Site {
    origin: string
    port: number
    store: ParkingBackend
  }

  /** Every page sets `path` in its session, then answers. */
  async function site(answer: Answer, finish: (app: Express) => unknown = () => undefined): Promise<Site> {
    const { sessions, store } = parkedSessions()
    const app = createApp()
    app.set('env', 'test')
    app.use(sessionMiddleware(sessions))
    app.get('/ping', (_request, response) => void response.send('pong'))
    app.get('/page', (request, response, next) => {
      sessions
        .get(request)
        .then((session) => {
          session.set('path', request.path)
          return answer(response, request, session)
        })
        .catch(next)
    })
    finish(app)
    const { origin, port, close } = await startServer(createServer(app))
    onTestFinished(async () => {
      store.release()
      await close()
    })
    return { origin, port, store }
  }

  /** Passes each error to `seen`, and answers with a page of its own. */
  const customPage =
    (seen: unknown[]): ErrorRequestHandler =>
    (error, _request, response, _next) => {
      seen.push(error)
      response.status((error as { status?: number }).status ?? 500).json({ sorry: true })
    }

  describe('not a byte leaves before the session is stored, and all of them after, of', () => {
    const answers: Record<string, { answer: Answer; headers?: string[]; expected: RegExp }> = {
      redirect: {
        answer: (response) => response.redirect('/next'),
        expected: /^HTTP\/1.1 302 Found\r\n[^]*Location: \/next\r\n[^]*\r\n\r\nFound. Redirecting to \/next$/,
      },
      json: {
        answer: (response) => response.status(201).json({ one: 1 }),
        expected: /^HTTP\/1.1 201 Created\r\n[^]*ETag: [^]*\r\n\r\n{"one":1}$/,
      },
      sendStatus: {
        answer: (response) => response.sendStatus(204),
        expected: /^HTTP\/1.1 204 No Content\r\n[^]*\r\n\r\n$/,
      },
      sendFile: {
        answer: (response) => response.sendFile(join(folder, 'file.txt')),
        expected: /^HTTP\/1.1 200 OK\r\n[^]*Content-Length: 100000\r\n[^]*\r\n\r\n(The text of a file. ){5000}$/,
      },
      'sendFile of a range': {
        answer: (response) => response.sendFile(join(folder, 'file.txt')),
        headers: ['Range: bytes=4-7'],
        expected: /^HTTP\/1.1 206 Partial Content\r\n[^]*Content-Range: bytes 4-7\/100000\r\n[^]*\r\n\r\ntext$/,
      },
      'sendFile of what has not changed': {
        answer: (response) => response.sendFile(join(folder, 'file.txt')),
        headers: ['If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT'],
        expected: /^HTTP\/1.1 304 Not Modified\r\n[^]*\r\n\r\n$/,
      },
    }
    test.each(Object.entries(answers))('%s', async (_name, { answer, headers = [], expected }) => {
      const { origin, port, store } = await site(answer)
      store.park()
      const wire = await Wire.dial(port)
      onTestFinished(() => wire.abort())
      wire.request('GET', '/page', ...headers)
      await store.parked
      for (let turn = 0; turn < 3; turn++) expect((await new Browser().get(`${origin}/ping`)).body).toBe('pong')
      expect(wire.text).toBe('')
      store.release()
      expect(await wire.until(expected)).toMatch(/\r\nset-cookie: vishnu=/i)
    })
  })

  describe("when the session can't be stored", () => {
    const failing =
      (answer: (response: Response) => unknown) =>
      (store: () => ParkingBackend): Answer =>
      (response) => {
        store().fail()
        return answer(response)
      }

    async function failingSite(
      answer: (response: Response) => unknown,
      finish?: (app: Express) => unknown,
    ): Promise<Site> {
      const made: Site = await site(
        failing(answer)(() => made.store),
        finish,
      )
      return made
    }
    const prepared = (response: Response): Response => response.status(201).set('X-Own', '1').cookie('app', '1')

    test("the application's error handler gets the error, and its page is what is sent", async () => {
      const seen: unknown[] = []
      const { origin } = await failingSite(
        (response) => prepared(response).send('secret'),
        (app) => app.use(customPage(seen)),
      )
      const { status, headers, setCookies, body } = await new Browser().get(`${origin}/page`)
      expect([status, body, setCookies]).toEqual([503, '{"sorry":true}', []])
      expect([headers['x-own'], headers['content-length']]).toEqual([undefined, String(body.length)])
      expect(seen).toMatchObject([{ code: 'ERR_BACKEND', status: 503, statusCode: 503 }])
    })

    test('an error handler that chooses another status gets its message too', async () => {
      const teapot: ErrorRequestHandler = (_error, _request, response, _next) =>
        void response.status(418).send('short and stout')
      const { port } = await failingSite(
        (response) => prepared(response).send('secret'),
        (app) => app.use(teapot),
      )
      const wire = await Wire.dial(port)
      onTestFinished(() => wire.abort())
      wire.request('GET', '/page')
      expect(await wire.until(/short and stout$/)).toMatch(/^HTTP\/1.1 418 I'm a Teapot\r\n/)
    })

    test("Express's own error handler answers 503", async () => {
      const { origin, store } = await failingSite((response) => prepared(response).json({ secret: true }))
      const { status, headers, setCookies, body } = await new Browser().get(`${origin}/page`)
      expect([status, setCookies]).toEqual([503, []])
      expect([headers['x-own'], headers.etag]).toEqual([undefined, undefined])
      expect(body).not.toContain('secret')
      store.release()
      expect((await new Browser().get(`${origin}/ping`)).body).toBe('pong')
    })

    test('a stream that is still running is answered by a plain 503', async () => {
      const seen: unknown[] = []
      const { origin } = await failingSite(
        (response) => prepared(response).sendFile(join(folder, 'file.txt')),
        (app) => app.use(customPage(seen)),
      )
      const { status, headers, setCookies, body } = await new Browser().get(`${origin}/page`)
      expect([status, body, setCookies]).toEqual([503, 'Service Unavailable\n', []])
      expect([headers['x-own'], headers['etag'], headers['content-range']]).toEqual([undefined, undefined, undefined])
    })

    test('an error handler that reads the session as well is answered all the same', async () => {
      const { sessions, store } = parkedSessions()
      const app = createApp()
      app.set('env', 'test')
      app.use(sessionMiddleware(sessions))
      app.use((request, response, next) => {
        sessions
          .get(request)
          .then((session) => {
            session.set('path', '/')
            store.fail()
            response.send('secret')
          })
          .catch(next)
      })
      const readsSession: ErrorRequestHandler = (_error, request, response, next) => {
        sessions
          .get(request)
          .then((session) => response.status(503).send(session.has('user') ? 'sorry, user' : 'sorry, visitor'))
          .catch(next)
      }
      app.use(readsSession)
      const { origin, close } = await startServer(createServer(app))
      onTestFinished(close)
      expect(await new Browser().get(origin)).toMatchObject({ status: 503, body: 'sorry, visitor' })
    })
  })

  test('an error that is thrown after the answer changes nothing of it', async () => {
    const seen: unknown[] = []
    const { origin } = await site(
      (response) => {
        response.json({ fine: true })
        throw new Error('Thrown by the handler on purpose')
      },
      (app) => {
        const careful: ErrorRequestHandler = (error, _request, response, _next) => {
          seen.push(error)
          // What careless handlers do first. Sending would throw.
          response.status(500)
        }
        app.use(careful)
      },
    )
    expect(await new Browser().get(`${origin}/page`)).toMatchObject({ status: 200, body: '{"fine":true}' })
    expect(seen).toHaveLength(1)
  })

  test('mounted for the application and for a router of it, it works once', async () => {
    const { sessions, store } = parkedSessions()
    const [app, router] = [createApp(), createApp.Router()]
    app.use(sessionMiddleware(sessions))
    router.use(sessionMiddleware(sessions))
    router.get('/page', (request, response, next) => {
      sessions
        .get(request)
        .then((session) => {
          session.set('path', request.originalUrl)
          response.send('page')
        })
        .catch(next)
    })
    app.use('/part', router)
    const { origin, close } = await startServer(createServer(app))
    onTestFinished(close)
    const { body, setCookies } = await new Browser().get(`${origin}/part/page`)
    expect([body, setCookies.length, store.calls]).toEqual(['page', 1, ['create']])
  })
})
