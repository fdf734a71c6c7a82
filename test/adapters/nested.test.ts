import { createServer } from 'node:http'
import express, { type ErrorRequestHandler } from 'express'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sessionMiddleware as expressMiddleware } from '../../src/adapters/express.js'
import { sessionMiddleware } from '../../src/adapters/node.js'
import { getSession } from '../../src/index.js'
import { Browser } from '../helpers/browser.js'
import { signal } from '../helpers/http-parking.js'
import { startServer } from '../helpers/http-server.js'
import { type Middleware, parkedSessions, stage } from '../helpers/http-stage.js'

const nameOf = (line: string): string => line.replace(/=.*/, '')

test('the same sessions mounted twice are one: one cookie, one session, one write', async () => {
  const server = await stage(
    (response) => response.end('page'),
    (sessions) => [sessionMiddleware(sessions), sessionMiddleware(sessions)],
  )
  const browser = new Browser()
  const { setCookies } = await browser.get(`${server.origin}/one`)
  expect(setCookies.map(nameOf)).toEqual(['vishnu'])
  expect(server.store.calls).toEqual(['create'])
  expect((await browser.get(`${server.origin}/read`)).body).toBe('/one')
})

test('the same sessions mounted twice, and used in between, are one', async () => {
  const server = await stage(
    (response, _request, session) => response.end(String(session.get('between'))),
    (sessions) => {
      const between: Middleware = (request, _response, next) => {
        sessions.get(request).then((session) => {
          if (request.url !== '/read') session.set('between', request.url)
          next()
        }, next)
      }
      return [sessionMiddleware(sessions), between, sessionMiddleware(sessions)]
    },
  )
  const { body, setCookies } = await new Browser().get(`${server.origin}/one`)
  expect([body, setCookies.map(nameOf), server.store.calls]).toEqual(['/one', ['vishnu'], ['create']])
})

describe('two sessions, one mounted inside of the other,', () => {
  const orders = { 'outer first': ['outer', 'inner'], 'inner first': ['inner', 'outer'] } as const

  describe.each(Object.entries(orders))('consulted %s,', (_, order) => {
    /** Each is set to the path, unless it is only to be read, and answered with what it held before. */
    async function nested({ onlyRead }: { onlyRead?: string } = {}) {
      const outer = parkedSessions('outer')
      const inner = parkedSessions('inner')
      const parts = { outer, inner }
      let found: boolean[] = []
      const [outerMiddleware, innerMiddleware] = [sessionMiddleware(outer.sessions), sessionMiddleware(inner.sessions)]
      const server = createServer((request, response) => {
        const answer = async (): Promise<void> => {
          const before: Record<string, unknown> = {}
          for (const name of order) {
            const session = await parts[name].sessions.get(request)
            before[name] = session.get('path') ?? null
            if (name !== onlyRead) session.set('path', request.url)
          }
          found = [
            (await getSession()) === (await inner.sessions.get(request)),
            (await inner.sessions.current()) === (await inner.sessions.get(request)),
            (await outer.sessions.current()) === (await outer.sessions.get(request)),
          ]
          response.setHeader('Set-Cookie', 'app=1')
          response.end(JSON.stringify(before))
        }
        outerMiddleware(request, response, () => innerMiddleware(request, response, () => void answer()))
      })
      const { origin, close } = await startServer(server)
      onTestFinished(close)
      return { ...parts, origin, found: () => found }
    }

    test('each keep their own values, under a cookie of their own', async () => {
      const { origin } = await nested()
      const browser = new Browser()
      const first = await browser.get(`${origin}/one`)
      expect(first.setCookies.map(nameOf).toSorted()).toEqual(['app', 'inner', 'outer'])
      expect(JSON.parse(first.body)).toEqual({ outer: null, inner: null })
      const second = await browser.get(`${origin}/two`)
      expect(second.setCookies.map(nameOf)).toEqual(['app'])
      expect(JSON.parse(second.body)).toEqual({ outer: '/one', inner: '/one' })
    })

    test.each(['outer', 'inner'])(
      'no shared cache may keep the cookie, though the %s one was only read',
      async (onlyRead) => {
        const { origin } = await nested({ onlyRead })
        const { headers } = await new Browser().get(`${origin}/one`)
        expect(headers).toMatchObject({ vary: 'Cookie', 'cache-control': 'no-store' })
      },
    )

    test('getSession finds the inner one, current() each its own', async () => {
      const { origin, found } = await nested()
      await new Browser().get(origin)
      expect(found()).toEqual([true, true, true])
    })

    test.each(['outer', 'inner'] as const)(
      "a failing commit of the %s one is a 503 without that one's cookie",
      async (name) => {
        const parts = await nested()
        parts[name].store.fail()
        const { status, body, setCookies } = await new Browser().get(parts.origin)
        expect([status, body]).toEqual([503, 'Service Unavailable\n'])
        expect(setCookies.map(nameOf)).not.toContain(name)
        expect(setCookies.map(nameOf)).not.toContain('app')
      },
    )

    test('failing commits of both are one 503', async () => {
      const { origin, outer, inner } = await nested()
      outer.store.fail()
      inner.store.fail()
      const { status, body, setCookies } = await new Browser().get(origin)
      expect([status, body, setCookies]).toEqual([503, 'Service Unavailable\n', []])
    })
  })

  test('of which one can not be stored: what the error handler sets in the other is stored and sent', async () => {
    const [outer, inner] = [parkedSessions('outer'), parkedSessions('inner')]
    const app = express()
    app.use(expressMiddleware(outer.sessions), expressMiddleware(inner.sessions))
    app.get('/read', (request, response, next) => {
      inner.sessions.get(request).then((session) => response.send(session.get('path')), next)
    })
    app.get('/page', (request, response, next) => {
      outer.store.fail()
      outer.sessions.get(request).then((session) => {
        session.set('path', '/page')
        response.send('page')
      }, next)
    })
    const sorry: ErrorRequestHandler = ({ code }: { code: string }, request, response, next) => {
      inner.sessions.get(request).then((session) => {
        session.set('path', code)
        response.status(500).send('sorry')
      }, next)
    }
    app.use(sorry)
    const { origin, close } = await startServer(createServer(app))
    onTestFinished(close)
    const browser = new Browser()
    const { status, headers, body, setCookies } = await browser.get(`${origin}/page`)
    expect([status, body, setCookies.map(nameOf)]).toEqual([500, 'sorry', ['inner']])
    expect(headers['content-type']).toContain('text/html')
    expect((await browser.get(`${origin}/read`)).body).toBe('ERR_BACKEND')
  })

  test('the response counts as begun until the last of them is stored', async () => {
    const [outer, inner] = [parkedSessions('outer'), parkedSessions('inner')]
    const seen: boolean[] = []
    const looked = signal()
    const [outerMiddleware, innerMiddleware] = [sessionMiddleware(outer.sessions), sessionMiddleware(inner.sessions)]
    const server = createServer((request, response) => {
      const answer = async (): Promise<void> => {
        for (const { sessions, store } of [outer, inner]) {
          const session = await sessions.get(request)
          session.set('path', '/')
          store.park()
        }
        response.end('page')
        seen.push(response.headersSent)
        // The inner one's commit comes first: it is nearer to the application.
        await inner.store.parked
        seen.push(response.headersSent)
        inner.store.release()
        await outer.store.parked
        seen.push(response.headersSent)
        outer.store.release()
        looked.fire()
      }
      outerMiddleware(request, response, () => innerMiddleware(request, response, () => void answer()))
    })
    const { origin, close } = await startServer(server)
    onTestFinished(close)
    expect((await new Browser().get(origin)).body).toBe('page')
    await looked.promise
    expect(seen).toEqual([true, true, true])
  })
})
