import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sessionMiddleware as expressMiddleware } from '../../src/adapters/express.js'
import { sessionMiddleware } from '../../src/adapters/node.js'
import { createSessions, getSession, type SessionEvent } from '../../src/index.js'
import { memory } from '../../src/backends/memory.js'
import { httpScenario } from '../../src/testing/http-scenario.js'
import { Browser } from '../helpers/browser.js'
import { signal } from '../helpers/http-parking.js'
import { serveHttp } from '../helpers/http-scenario-servers.js'
import { startServer } from '../helpers/http-server.js'
import { parkedSessions, stage } from '../helpers/http-stage.js'

describe.each([
  ['vishnu/node', sessionMiddleware],
  ['vishnu/express', expressMiddleware],
])('%s on plain node:http:', (_, mount) => {
  test.each(httpScenario(serveHttp(mount)))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

async function codeOf(act: () => unknown): Promise<string> {
  try {
    await act()
    return 'done'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('the session is asked for', () => {
  const asking: Record<string, (response: ServerResponse, page: () => Promise<string>) => unknown> = {
    'in the argument of end': async (response, page) => response.end(await page()),
    'in the argument of write': async (response, page) => {
      response.write(await page())
      response.end()
    },
    'in the argument of writeHead': async (response, page) =>
      response.writeHead(200, { 'X-Page': await page() }).end('page'),
    'through methods that were taken off before': async (response, page) => {
      const end = response.end.bind(response)
      end(await page())
    },
  }
  test.each(Object.entries(asking))('%s: not a byte leaves before it is stored', async (_, answer) => {
    const { sessions, store } = parkedSessions()
    const middleware = sessionMiddleware(sessions)
    const server = createServer((request, response) => {
      const page = async (): Promise<string> => {
        const session = await sessions.get(request)
        session.set('path', request.url)
        return 'page'
      }
      middleware(request, response, () => {
        if (request.url === '/ping') response.end('pong')
        else void answer(response, page)
      })
    })
    const { origin, close } = await startServer(server)
    onTestFinished(close)
    store.park()
    let hasArrived = false
    const reply = new Browser().get(origin).then((arrived) => {
      hasArrived = true
      return arrived
    })
    await store.parked
    for (let turn = 0; turn < 3; turn++) expect((await new Browser().get(`${origin}/ping`)).body).toBe('pong')
    expect(hasArrived).toBe(false)
    store.release()
    const { body, setCookies } = await reply
    expect([body, setCookies.length]).toEqual(['page', 1])
  })

  test('after the headers were sent: it can be read and no longer be changed', async () => {
    const { sessions, store } = parkedSessions()
    const middleware = sessionMiddleware(sessions)
    const server = createServer((request, response) => {
      const answer = async (): Promise<void> => {
        if (request.url === '/late') response.write('begun ')
        const session = await sessions.get(request)
        const outcomes = [
          String(session.get('path')),
          await codeOf(() => session.set('path', request.url)),
          await codeOf(() => session.update('count', (count) => Number(count ?? 0) + 1)),
          String(session.get('count')),
        ]
        response.end(outcomes.join(' '))
      }
      middleware(request, response, () => void answer())
    })
    const { origin, close } = await startServer(server)
    onTestFinished(close)
    const browser = new Browser()
    expect((await browser.get(`${origin}/early`)).body).toBe('undefined done done 1')
    const late = await browser.get(`${origin}/late`)
    expect(late.body).toBe('begun /early ERR_COMMITTED done 2')
    expect(late.setCookies).toEqual([])
    expect((await browser.get(`${origin}/early`)).body).toBe('/early done done 3')
    // Nor can a new one begin: its cookie could not be sent.
    const stranger = await new Browser().get(`${origin}/late`)
    expect([stranger.body, stranger.setCookies]).toEqual(['begun undefined ERR_COMMITTED ERR_COMMITTED undefined', []])
    expect(store.calls.filter((call) => call === 'create')).toHaveLength(1)
  })

  test('without the middleware: ERR_NO_MIDDLEWARE', async () => {
    const { sessions } = parkedSessions()
    const answered = signal()
    let outcome: unknown
    const server = createServer((request, response) => {
      sessions.get(request).then(
        () => response.end(),
        (error: unknown) => {
          outcome = error
          response.end(answered.fire)
        },
      )
    })
    const { origin, close } = await startServer(server)
    onTestFinished(close)
    await new Browser().get(origin)
    await answered.promise
    expect(outcome).toMatchObject({ code: 'ERR_NO_MIDDLEWARE' })
  })

  test('outside of a request: ERR_NO_REQUEST', async () => {
    const server = await stage(async (response) => {
      await getSession()
      response.end('inside')
    })
    expect((await new Browser().get(server.origin)).body).toBe('inside')
    await expect(getSession()).rejects.toMatchObject({ code: 'ERR_NO_REQUEST' })
    await expect(server.sessions.current()).rejects.toMatchObject({ code: 'ERR_NO_REQUEST' })
  })
})

describe('a secure cookie over plain HTTP', () => {
  /** The events of one request that sets a cookie, over a connection that seems to come from `remoteAddress`. */
  async function eventsOf(
    connection: { remoteAddress?: string; encrypted?: boolean },
    headers: Record<string, string> = {},
    { secure = true, path = '/set' } = {},
  ): Promise<{ types: string[]; setCookies: readonly string[] }> {
    const events: SessionEvent[] = []
    const sessions = createSessions({
      secret: 'a secret for tests, and for nothing else',
      backend: memory(),
      autoSave: true,
      secure,
      onEvent: (event) => events.push(event),
    })
    const middleware = sessionMiddleware(sessions)
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const session = await sessions.get(request)
      if (request.url === '/set') session.set('path', request.url)
      response.end('page')
    }
    const server = createServer((request, response) =>
      middleware(request, response, () => void answer(request, response)),
    )
    // Tests listen on loopback only, so the connection is told where it comes from.
    server.on('connection', (socket: Socket) => {
      for (const [name, value] of Object.entries(connection)) Object.defineProperty(socket, name, { value })
    })
    const { origin, close } = await startServer(server)
    onTestFinished(close)
    const { setCookies } = await new Browser().get(origin + path, { headers })
    return { types: events.map(({ type }) => type), setCookies }
  }

  test.each(['192.0.2.7', '::ffff:192.0.2.7', '2001:db8::7', '10.0.0.7'])(
    'from %s is sent, with the event insecure',
    async (remoteAddress) => {
      const { types, setCookies } = await eventsOf({ remoteAddress })
      expect(types).toEqual(['insecure'])
      expect(setCookies).toEqual([expect.stringMatching(/^vishnu=.*; Secure/)])
    },
  )

  test.each(['127.0.0.1', '127.5.5.5', '::1', '::ffff:127.0.0.1'])(
    'from this machine, as %s, is nothing to report',
    async (remoteAddress) => {
      expect((await eventsOf({ remoteAddress })).types).toEqual([])
    },
  )

  test.each([
    { 'x-forwarded-proto': 'https' },
    { 'x-forwarded-proto': 'http' },
    { forwarded: 'for=192.0.2.1;proto=https' },
  ])('behind a proxy that says %o is nothing to report', async (headers) => {
    expect((await eventsOf({ remoteAddress: '192.0.2.7' }, headers)).types).toEqual([])
  })

  test('is nothing to report on a TLS connection, where no cookie is sent, or where it is not secure', async () => {
    const remoteAddress = '192.0.2.7'
    expect((await eventsOf({ remoteAddress, encrypted: true })).types).toEqual([])
    expect((await eventsOf({ remoteAddress }, {}, { path: '/read' })).types).toEqual([])
    expect((await eventsOf({ remoteAddress }, {}, { secure: false })).types).toEqual([])
  })
})
