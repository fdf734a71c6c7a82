import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/node.js'
import type { Session } from '../../src/index.js'
import { httpScenario } from '../../src/testing/http-scenario.js'
import { signal } from '../helpers/http-parking.js'
import { serveHttp2 } from '../helpers/http-scenario-servers.js'
import { startServer } from '../helpers/http-server.js'
import { parkedSessions } from '../helpers/http-stage.js'
import { Http2Client, replyOf } from '../helpers/http-http2-client.js'

describe('vishnu/node on the compatibility interface of node:http2:', () => {
  test.each(httpScenario(serveHttp2(sessionMiddleware)))('$name', async ({ check }) =>
    expect(await check()).toBeUndefined(),
  )
})

type Respond = (response: Http2ServerResponse, request: Http2ServerRequest, session: Session) => unknown

/** As `stage`, over HTTP/2: every request but `/ping` and `/read` sets `path` in its session, then answers. */
async function http2Stage(respond: Respond) {
  const { sessions, store } = parkedSessions()
  const middleware = sessionMiddleware(sessions)
  const errors: unknown[] = []
  async function handle(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    if (request.url === '/ping') return void response.end('pong')
    const session = await sessions.get(request)
    if (request.url === '/read') return void response.end(String(session.get('path')))
    session.set('path', request.url)
    await respond(response, request, session)
  }
  const server = createServer((request, response) =>
    middleware(request, response, () => void handle(request, response).catch((error: unknown) => errors.push(error))),
  )
  const { origin, close } = await startServer(server)
  const client = new Http2Client(origin)
  onTestFinished(async () => {
    store.release()
    client.close()
    await close()
    expect(errors).toEqual([])
  })
  /** Resolves once a response waits for its session, and others have come and gone on the same connection. */
  const held = async (): Promise<void> => {
    await store.parked
    for (let turn = 0; turn < 3; turn++) expect((await client.get('/ping')).body.toString()).toBe('pong')
  }
  return { origin, client, store, held, errors }
}

describe('not a frame leaves before the session is stored, and all of them after, of', () => {
  interface Way {
    respond: (response: Http2ServerResponse) => unknown
    method?: string
    status?: number
    headers?: Record<string, string>
    trailers?: Record<string, string>
    body?: string
  }
  const ways: Record<string, Way> = {
    'a redirect': {
      respond: (response) => response.writeHead(302, { location: '/next' }).end(),
      status: 302,
      headers: { location: '/next' },
    },
    'a whole body': { respond: (response) => response.end('whole'), body: 'whole' },
    'several writes': {
      respond: (response) => {
        response.write('one ')
        response.write('two ')
        response.end('three')
      },
      body: 'one two three',
    },
    'a flushed head': {
      respond: (response) => {
        response.setHeader('x-one', '1')
        // There, though its types don't know.
        ;(response as unknown as ServerResponse).flushHeaders()
        response.end('later')
      },
      headers: { 'x-one': '1' },
      body: 'later',
    },
    'a pipeline': { respond: (response) => pipeline(Readable.from(['one ', 'two']), response), body: 'one two' },
    'a loop that waits for drain': {
      respond: async (response) => {
        for (const text of ['one ', 'two']) if (!response.write(text)) await once(response, 'drain')
        response.end()
      },
      body: 'one two',
    },
    'the head of a HEAD request': { method: 'HEAD', respond: (response) => response.end() },
    'a 204': { respond: (response) => response.writeHead(204).end(), status: 204 },
    'a 304': { respond: (response) => response.writeHead(304, { etag: '"1"' }).end(), status: 304 },
    'a body with trailers': {
      respond: (response) => {
        response.write('one')
        response.addTrailers({ 'x-sum': '1' })
        response.end()
      },
      trailers: { 'x-sum': '1' },
      body: 'one',
    },
  }
  test.each(Object.entries(ways))(
    '%s',
    async (_, { respond, method = 'GET', status = 200, body = '', ...expected }) => {
      const { client, store, held } = await http2Stage(respond)
      store.park()
      const stream = client.open('/', { ':method': method })
      let hasBegun = false
      stream.on('response', () => {
        hasBegun = true
      })
      const reply = replyOf(stream)
      await held()
      expect(hasBegun).toBe(false)
      store.release()
      const arrived = await reply
      expect([arrived.status, arrived.body.toString()]).toEqual([status, body])
      expect(arrived.headers).toMatchObject(expected.headers ?? {})
      expect(arrived.trailers).toMatchObject(expected.trailers ?? {})
      expect(arrived.setCookies).toEqual([expect.stringMatching(/^vishnu=/)])
    },
  )
})

test('1xx responses pass while the response itself waits', async () => {
  const { client, store, held } = await http2Stage((response) => {
    response.write('one')
    response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    response.end()
  })
  store.park()
  const stream = client.open('/')
  const informed = once(stream, 'headers')
  const reply = replyOf(stream)
  const [early] = (await informed) as unknown[]
  expect(early).toMatchObject({ ':status': 103, link: '</style.css>; rel=preload' })
  await held()
  store.release()
  expect(await reply).toMatchObject({ status: 200 })
})

test('a large body arrives intact, written with and without regard to backpressure', async () => {
  const bytes = randomBytes(3_000_000)
  const pieces = Array.from({ length: 300 }, (_, index) => bytes.subarray(index * 10_000, (index + 1) * 10_000))
  const { client } = await http2Stage(async (response, { url }) => {
    if (url === '/piped') return pipeline(Readable.from(pieces), response)
    for (const piece of pieces) response.write(piece)
    return response.end()
  })
  const replies = await Promise.all([client.get('/piped'), client.get('/written')])
  expect(replies.map(({ body }) => body.equals(bytes))).toEqual([true, true])
})

test('100 requests at once on one connection each get their own session', async () => {
  const { client } = await http2Stage((response, { url }) => response.end(`page ${url}`))
  const paths = Array.from({ length: 100 }, (_, index) => `/${index}`)
  const seen = await Promise.all(
    paths.map(async (path) => {
      const { body, setCookies } = await client.get(path)
      const stored = await client.get('/read', { cookie: setCookies[0]?.replace(/;.*/, '') })
      return [body.toString(), stored.body.toString()]
    }),
  )
  expect(seen).toEqual(paths.map((path) => [`page ${path}`, path]))
})

test('a Cookie header that came in pieces is read as one', async () => {
  const { client } = await http2Stage((response) => response.end())
  const { setCookies } = await client.get('/stored')
  const cookie = ['theme=dark', setCookies[0]?.replace(/;.*/, '') ?? '', 'flash=1']
  expect((await client.get('/read', { cookie })).body.toString()).toBe('/stored')
})

describe('to the application the response has begun:', () => {
  test('changing a header throws, and the end is the end', async () => {
    const called: string[] = []
    const { client } = await http2Stage((response) => {
      response.end('first', () => called.push('first'))
      expect([response.headersSent, response.writableEnded]).toEqual([true, true])
      expect(() => response.setHeader('x-late', '1')).toThrow(/headers/)
      expect(() => response.writeHead(500)).toThrow(/headers/)
      response.statusCode = 500
      response.write('late', (error) => called.push((error as { code?: string } | undefined)?.code ?? 'none'))
      response.end('second', () => called.push('second'))
    })
    const { status, headers, body } = await client.get('/')
    expect([status, headers['x-late'], body.toString()]).toEqual([200, undefined, 'first'])
    expect(called.toSorted()).toEqual(['ERR_STREAM_WRITE_AFTER_END', 'first', 'second'])
  })
})

describe("when the session can't be stored", () => {
  test.each(['GET', 'HEAD'])('503 is sent to a %s, and nothing that was prepared', async (method) => {
    const { client, store } = await http2Stage((response) => {
      store.fail()
      response.setHeader('etag', '"1"')
      response.setHeader('set-cookie', 'app=1')
      response.addTrailers({ 'x-sum': 'secret' })
      response.write('secret')
      response.addTrailers({ 'x-other-sum': 'secret' })
      response.end()
    })
    const { status, headers, setCookies, trailers, body } = await client.get('/', { ':method': method })
    expect([status, body.toString()]).toEqual([503, method === 'HEAD' ? '' : 'Service Unavailable\n'])
    expect([headers.etag, ...setCookies, ...Object.keys(trailers)]).toEqual([undefined])
    expect((await client.get('/ping')).body.toString()).toBe('pong')
  })

  test('what is written later is swallowed, and every callback and drain still comes', async () => {
    const seen: string[] = []
    const ended = signal()
    const { client, store } = await http2Stage(async (response) => {
      store.fail()
      const drained = once(response, 'drain')
      await new Promise((resolve) => response.write('held', resolve))
      await drained
      await new Promise((resolve) => response.write('late', resolve))
      response.end(() => {
        seen.push('end')
        ended.fire()
      })
    })
    expect(await client.get('/')).toMatchObject({ status: 503 })
    await ended.promise
    expect(seen).toEqual(['end'])
  })
})

test('a body that turns bad half-way breaks off with an error, so that nobody takes it for whole', async () => {
  const { client } = await http2Stage((response) => {
    response.write('good')
    response.write(13 as never)
    response.end('never')
  })
  await expect(client.get('/')).rejects.toMatchObject({ code: 'ERR_HTTP2_STREAM_ERROR' })
  expect((await client.get('/ping')).body.toString()).toBe('pong')
})

describe('a client that goes away', () => {
  test.each(['stored', 'refused'])(
    'while the response waits does no harm when its session is then %s',
    async (outcome) => {
      const closed = signal()
      const { client, store, held } = await http2Stage((response, { url }) => {
        if (url === '/new') response.on('close', closed.fire)
        response.write('one')
        response.end('two')
      })
      const { setCookies } = await client.get('/old')
      const cookie = setCookies[0]?.replace(/;.*/, '')
      store.park()
      const stream = client.open('/new', { cookie })
      stream.on('error', () => undefined)
      await held()
      stream.close(8)
      await closed.promise
      if (outcome === 'stored') store.release()
      else store.fail()
      expect((await client.get('/ping')).body.toString()).toBe('pong')
      store.release()
      expect((await client.get('/read', { cookie })).body.toString()).toBe(outcome === 'stored' ? '/new' : '/old')
    },
  )

  test('before it has a session gets none, and does no harm', async () => {
    const closed = signal()
    const { client, store, held } = await http2Stage((response) => {
      response.on('close', closed.fire)
      response.end('page')
    })
    store.park()
    const stream = client.open('/')
    stream.on('error', () => undefined)
    await held()
    stream.close(8)
    await closed.promise
    store.release()
    expect((await client.get('/ping')).body.toString()).toBe('pong')
    expect(store.calls).toContain('create')
  })
})
