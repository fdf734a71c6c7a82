import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/node.js'
import type { Sessions } from '../../src/index.js'
import { compression, onHeaders } from '../helpers/http-compression.js'
import { type Middleware, type Respond, type Stage, stage } from '../helpers/http-stage.js'

/** A middleware behind this one patches the response above the hold, since the session was asked for already. */
function askFirst(sessions: Sessions): Middleware {
  return (request, _response, next) => {
    if (request.url === '/ping') return next()
    sessions.get(request).then(next, next)
  }
}

const places = {
  'compression before the sessions': (version: '1.7' | '1.8') => (sessions: Sessions) => [
    compression(version),
    sessionMiddleware(sessions),
  ],
  'compression behind the sessions': (version: '1.7' | '1.8') => (sessions: Sessions) => [
    sessionMiddleware(sessions),
    compression(version),
  ],
  'compression behind the first use of a session': (version: '1.7' | '1.8') => (sessions: Sessions) => [
    sessionMiddleware(sessions),
    askFirst(sessions),
    compression(version),
  ],
}

async function* pieces(): AsyncIterable<string> {
  for (let count = 0; count < 200; count++) yield `piece ${count} `.repeat(50)
}
const allPieces = Array.from({ length: 200 }, (_, count) => `piece ${count} `.repeat(50)).join('')

const bodies: Record<string, { respond: Respond; body: string }> = {
  'a whole body': { respond: (response) => response.end('whole'), body: 'whole' },
  'a body behind a head': {
    respond: (response) => response.writeHead(200, { 'X-One': '1' }).end('whole'),
    body: 'whole',
  },
  'several writes': {
    respond: (response) => {
      response.write('one ')
      response.write('two ')
      response.end('three')
    },
    body: 'one two three',
  },
  'a pipe of many small pieces': { respond: (response) => Readable.from(pieces()).pipe(response), body: allPieces },
  'a pipeline of an async iterator': { respond: (response) => pipeline(pieces(), response), body: allPieces },
  'a loop that waits for drain': {
    respond: async (response) => {
      for await (const piece of pieces()) if (!response.write(piece)) await once(response, 'drain')
      response.end()
    },
    body: allPieces,
  },
}

async function fetchZipped(server: Stage): Promise<{ incoming: IncomingMessage; body: string }> {
  const [incoming] = (await once(get(server.origin, { agent: false }), 'response')) as [IncomingMessage]
  const chunks = (await incoming.toArray()) as Buffer[]
  return { incoming, body: gunzipSync(Buffer.concat(chunks)).toString() }
}

describe.each(Object.entries(places))('with %s,', (_place, middleware) => {
  describe.each(['1.7', '1.8'] as const)('as compression %s does it,', (version) => {
    test.each(Object.entries(bodies))('%s arrives whole, with the cookie of a stored session', async (_, sent) => {
      const server = await stage(sent.respond, middleware(version))
      const { incoming, body } = await fetchZipped(server)
      expect(body).toBe(sent.body)
      expect(incoming.headers).toMatchObject({ 'content-encoding': 'gzip', 'cache-control': 'no-store' })
      expect(incoming.headers['set-cookie']).toEqual([expect.stringMatching(/^vishnu=/)])
      expect(server.store.calls).toEqual(['create'])
    })

    test('not a byte leaves before the session is stored', async () => {
      const server = await stage(
        (response) => response.writeHead(302, { Location: '/next' }).end(),
        middleware(version),
      )
      server.store.park()
      const wire = await server.ask()
      // The other requests that this makes are compressed as well.
      await server.store.parked
      await (await fetch(`${server.origin}/ping`)).text()
      expect(wire.text).toBe('')
      server.store.release()
      await wire.until(/^HTTP\/1.1 302 Found\r\n[^]*Set-Cookie: vishnu=/i)
    })

    test('an event that is flushed arrives at once', async () => {
      const server = await stage((response) => {
        response.setHeader('Content-Type', 'text/event-stream')
        response.write('data: one\n\n')
        ;(response as unknown as { flush: () => void }).flush()
      }, middleware(version))
      const wire = await server.ask()
      // The head of a gzip stream alone is ten bytes long: the first chunk. The event is in the second.
      const event = /\r\n\r\na\r\n[^]{10}\r\n[0-9a-f]+\r\n[^]+\r\n/
      expect(await wire.until(event)).toContain('HTTP/1.1 200 OK')
    })

    test('a failed commit is answered by a readable 503', async () => {
      const server = await stage((response) => {
        server.store.fail()
        response.end('page')
      }, middleware(version))
      const response = await fetch(server.origin)
      expect([response.status, await response.text()]).toEqual([503, 'Service Unavailable\n'])
    })
  })
})

test('a header listener below the hold can still add headers', async () => {
  const timing: Middleware = (_request, response, next) => {
    onHeaders(response, () => response.setHeader('X-Time', '1 ms'))
    next()
  }
  const server = await stage(
    (response) => response.end('page'),
    (sessions) => [timing, sessionMiddleware(sessions)],
  )
  const { headers } = await fetch(server.origin)
  expect(headers.get('x-time')).toBe('1 ms')
  expect(headers.get('set-cookie')).toMatch(/^vishnu=/)
})
