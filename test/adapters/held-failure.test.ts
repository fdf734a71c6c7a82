import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from 'vitest'
import { sessionMiddleware } from '../../src/adapters/node.js'
import { Browser } from '../helpers/browser.js'
import { onHeaders } from '../helpers/http-compression.js'
import { signal } from '../helpers/http-parking.js'
import { type Middleware, type Respond, type Stage, stage } from '../helpers/http-stage.js'

/** A server whose backend goes down when the handler has its session. */
function failing(respond: Respond, middleware?: Parameters<typeof stage>[1]): Promise<Stage> {
  const server = stage(async (...visit) => {
    const { store } = await server
    store.fail()
    await respond(...visit)
  }, middleware)
  return server
}

const headersOf = (text: string): string[] => text.split('\r\n\r\n')[0]?.split('\r\n') ?? []

describe("when the session can't be stored", () => {
  const prepared: Record<string, (response: ServerResponse) => unknown> = {
    'a redirect': (response) =>
      response.writeHead(302, 'Elsewhere', { Location: '/next', 'Set-Cookie': 'app=1' }).end(),
    'a page': (response) => {
      response.setHeader('ETag', '"1"')
      response.setHeader('Content-Length', 6)
      response.setHeader('Cache-Control', 'public')
      response.appendHeader('Set-Cookie', 'app=1')
      response.end('secret')
    },
    'a flushed head': (response) => {
      response.setHeader('ETag', '"1"')
      response.flushHeaders()
    },
    'a pipe': (response) => Readable.from(['secret', 'secret']).pipe(response.setHeader('ETag', '"1"')),
    'a body with trailers': (response) => {
      response.setHeader('Trailer', 'X-Sum')
      // Removing it is what makes Node send chunks, and with them trailers.
      response.setHeader('Content-Length', 6)
      response.addTrailers({ 'X-Sum': 'secret' })
      response.write('secret')
      response.addTrailers({ 'X-Sum': 'secret' })
      response.end()
    },
  }
  test.each(Object.entries(prepared))('503 is sent, and nothing of %s', async (_, respond) => {
    const server = await failing(respond)
    const wire = await server.ask()
    const text = await wire.until(/\r\n\r\n[^]*Service Unavailable\n/)
    const [status, ...headers] = headersOf(text)
    expect(status).toBe('HTTP/1.1 503 Service Unavailable')
    const names = headers.map((line) => line.replace(/:.*/, '').toLowerCase())
    const own = names.filter(
      (name) => !['connection', 'keep-alive', 'transfer-encoding', 'content-length'].includes(name),
    )
    expect(own.toSorted()).toEqual(['cache-control', 'content-type', 'date'])
    expect(text).not.toContain('secret')

    // The connection is still good, and so is the next visit.
    server.store.release()
    wire.request('GET', '/ping')
    await wire.until(/pong/)
    expect(wire.text).not.toContain('secret')
  })

  test('a HEAD request gets a 503 without a body', async () => {
    const server = await failing((response) => response.end())
    const wire = await server.ask('HEAD')
    await wire.until(/^HTTP\/1.1 503 [^]*\r\n\r\n/)
    wire.request('GET', '/ping')
    expect(await wire.until(/pong/)).toMatch(/^HTTP\/1.1 503 [^]*?\r\n\r\nHTTP\/1.1 200 OK/)
  })

  test('what is written later is swallowed, and every callback and drain still comes', async () => {
    const seen: string[] = []
    const ended = signal()
    const server = await failing(async (response) => {
      const write = (text: string): Promise<void> =>
        new Promise((resolve) => {
          response.write(text, () => {
            seen.push(text)
            resolve()
          })
        })
      const drained = once(response, 'drain')
      await write('held')
      await drained
      await write('late')
      response.setHeader('X-Late', '1')
      response.writeHead(200, { 'X-Late': '2' }).end('end', () => {
        seen.push('end')
        ended.fire()
      })
    })
    const { status, body, headers } = await new Browser().get(server.origin)
    await ended.promise
    expect([status, body]).toEqual([503, 'Service Unavailable\n'])
    expect(headers['x-late']).toBeUndefined()
    expect(seen).toEqual(['held', 'late', 'end'])
  })

  test('a pipeline from a file ends as if the visitor had left, and closes the file', async () => {
    const [file, closed, ended] = [createReadStream(import.meta.filename, { highWaterMark: 64 }), signal(), signal()]
    file.on('close', closed.fire)
    const server = await failing((response) => pipeline(file, response).finally(() => setImmediate(ended.fire)))
    expect((await new Browser().get(server.origin)).status).toBe(503)
    await Promise.all([closed.promise, ended.promise])
    expect(server.errors.splice(0)).toMatchObject([{ code: 'ERR_STREAM_PREMATURE_CLOSE' }])
  })

  test('a client that has gone away does no harm', async () => {
    const closed = signal()
    const server = await stage((response) => {
      response.on('close', closed.fire)
      response.writeHead(200, { 'X-One': '1' })
      response.end('page')
    })
    server.store.park()
    const wire = await server.ask()
    await server.held(wire)
    wire.abort()
    await closed.promise
    server.store.fail()
    expect((await new Browser().get(`${server.origin}/ping`)).body).toBe('pong')
  })
})

describe('an impossible response is a 500 and no harm to the process:', () => {
  const mistakes: Record<string, (response: ServerResponse) => unknown> = {
    'a status below 100': (response) => {
      response.statusCode = 99
      response.end('page')
    },
    'a status above 999': (response) => response.writeHead(1000, { ETag: '"1"' }).end('page'),
    'a status message of two lines': (response) => {
      response.statusMessage = 'Fine\r\nSet-Cookie: evil=1'
      response.end('page')
    },
    'a body that is no text': (response) => response.end({} as never),
  }
  test.each(Object.entries(mistakes))('%s', async (_, respond) => {
    const server = await stage((response) => {
      response.setHeader('Set-Cookie', 'app=1')
      return respond(response)
    })
    const warned = once(process, 'warning')
    const { status, headers, setCookies, body } = await new Browser().get(server.origin)
    expect([status, body, headers.etag]).toEqual([500, 'Internal Server Error\n', undefined])
    // The session is stored, and perhaps under a new id: without its cookie the visitor would be logged out.
    expect(setCookies).toEqual([expect.stringMatching(/^vishnu=/)])
    expect(await warned).toEqual([expect.any(Error)])
    expect((await new Browser().get(`${server.origin}/ping`)).body).toBe('pong')
  })

  test('a header value of two lines is thrown where it is set, as ever', async () => {
    const server = await stage((response) => {
      expect(() => response.writeHead(200, { 'X-One': 'a\r\nb' })).toThrow(
        expect.objectContaining({ code: 'ERR_INVALID_CHAR' }),
      )
      response.writeHead(500).end('my own page')
    })
    expect(await new Browser().get(server.origin)).toMatchObject({ status: 500, body: 'my own page' })
  })

  test('a body that turns bad half-way ends the connection, so that nobody takes it for whole', async () => {
    const server = await stage((response) => {
      response.write('good')
      response.write(13)
      response.end('never')
    })
    const wire = await server.ask()
    const text = await wire.end()
    expect(text).not.toContain('never')
    expect(text).not.toMatch(/0\r\n\r\n$/)
  })

  test('a header listener that throws, and throws again at the 500, ends the connection', async () => {
    const stubborn: Middleware = (request, response, next) => {
      for (let layer = 0; layer < 3 && request.url !== '/ping'; layer++) {
        onHeaders(response, () => {
          throw new Error('Thrown by the listener on purpose')
        })
      }
      next()
    }
    const server = await stage(
      (response) => response.end('page'),
      (sessions) => [stubborn, sessionMiddleware(sessions)],
    )
    const wire = await server.ask()
    expect(await wire.end()).toBe('')
    expect((await new Browser().get(`${server.origin}/ping`)).body).toBe('pong')
  })
})
