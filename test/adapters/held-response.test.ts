import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Browser } from '../helpers/browser.js'
import { signal } from '../helpers/http-parking.js'
import { stage, type Stage } from '../helpers/http-stage.js'
import { Wire } from '../helpers/http-wire.js'

interface Way {
  respond: (response: ServerResponse) => unknown
  method?: string
  /** Found on the wire, in this order, once the session is stored. */
  expected: RegExp
}

const cookie = String.raw`set-cookie: vishnu=[^]*`

const ways: Record<string, Way> = {
  'a redirect': {
    respond: (response) => response.writeHead(302, { Location: '/next' }).end(),
    expected: /^HTTP\/1.1 302 Found\r\nLocation: \/next\r\n[^]*\r\n\r\n/,
  },
  'a whole body': {
    respond: (response) => response.setHeader('Content-Type', 'text/plain').end('whole'),
    expected: /^HTTP\/1.1 200 OK\r\nContent-Type: text\/plain\r\n[^]*Content-Length: 5\r\n\r\nwhole$/,
  },
  'writeHead with a message and headers': {
    respond: (response) => response.writeHead(201, 'Made', { 'X-One': '1', 'X-Two': ['2', '3'] }).end(),
    expected: /^HTTP\/1.1 201 Made\r\nX-One: 1\r\nX-Two: 2\r\nX-Two: 3\r\n[^]*\r\n\r\n/,
  },
  'writeHead with headers behind a missing message': {
    respond: (response) => response.writeHead(200, undefined, { 'X-One': '1' }).end(),
    expected: /^HTTP\/1.1 200 OK\r\nX-One: 1\r\n[^]*\r\n\r\n/,
  },
  'writeHead with null for headers': {
    respond: (response) => response.writeHead(200, null as never).end('done'),
    expected: /^HTTP\/1.1 200 OK\r\n[^]*\r\ndone\r\n0\r\n\r\n$/,
  },
  'writeHead with a flat list that holds duplicates': {
    respond: (response) => response.writeHead(200, ['X-One', '1', 'Set-Cookie', 'a=1', 'set-cookie', 'b=2']).end(),
    expected: /^HTTP\/1.1 200 OK\r\nX-One: 1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n[^]*\r\n\r\n/i,
  },
  'writeHead over headers that were set before': {
    respond: (response) => {
      response.setHeader('X-One', 'old')
      response.setHeader('X-Two', 'kept')
      response.writeHead(200, { 'X-One': 'new' }).end()
    },
    expected: /^HTTP\/1.1 200 OK\r\nX-One: new\r\nX-Two: kept\r\n[^]*\r\n\r\n/,
  },
  flushHeaders: {
    respond: (response) => response.setHeader('X-One', '1').flushHeaders(),
    expected: /^HTTP\/1.1 200 OK\r\nX-One: 1\r\n[^]*\r\n\r\n$/,
  },
  'the first of several writes': {
    respond: (response) => {
      response.write('one ')
      response.write(Buffer.from('two '))
      response.end('74687265650a', 'hex')
    },
    expected: /^HTTP\/1.1 200 OK\r\n[^]*\r\none \r\n[^]*\r\ntwo \r\n[^]*\r\nthree\n\r\n0\r\n\r\n$/,
  },
  'the first event of a stream that stays open': {
    respond: (response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.write('data: one\n\n')
    },
    expected: /^HTTP\/1.1 200 OK\r\nContent-Type: text\/event-stream\r\n[^]*\r\ndata: one\n\n\r\n$/,
  },
  'a pipe': {
    respond: (response) => Readable.from(['one ', 'two']).pipe(response),
    expected: /^HTTP\/1.1 200 OK\r\n[^]*\r\none \r\n[^]*\r\ntwo\r\n0\r\n\r\n$/,
  },
  'a pipeline': {
    respond: (response) => pipeline(Readable.from(['one ', 'two']), response),
    expected: /^HTTP\/1.1 200 OK\r\n[^]*\r\none \r\n[^]*\r\ntwo\r\n0\r\n\r\n$/,
  },
  'a loop that waits for drain': {
    respond: async (response) => {
      for (const text of ['one ', 'two ', 'three']) if (!response.write(text)) await once(response, 'drain')
      response.end()
    },
    expected: /^HTTP\/1.1 200 OK\r\n[^]*\r\none \r\n[^]*\r\ntwo \r\n[^]*\r\nthree\r\n0\r\n\r\n$/,
  },
  'the head of a HEAD request': {
    method: 'HEAD',
    respond: (response) => response.setHeader('Content-Length', 5).end(),
    expected: /^HTTP\/1.1 200 OK\r\nContent-Length: 5\r\n[^]*\r\n\r\n$/,
  },
  'a 204': {
    respond: (response) => response.writeHead(204).end(),
    expected: /^HTTP\/1.1 204 No Content\r\n[^]*\r\n\r\n$/,
  },
  'a 304': {
    respond: (response) => response.writeHead(304, { ETag: '"1"' }).end(),
    expected: /^HTTP\/1.1 304 Not Modified\r\nETag: "1"\r\n[^]*\r\n\r\n$/,
  },
  'a body with trailers': {
    respond: (response) => {
      response.setHeader('Trailer', 'X-Sum')
      response.write('one')
      response.addTrailers({ 'X-Sum': '1' })
      response.end()
    },
    expected: /^HTTP\/1.1 200 OK\r\nTrailer: X-Sum\r\n[^]*\r\n3\r\none\r\n0\r\nX-Sum: 1\r\n\r\n$/,
  },
}

describe('not a byte leaves before the session is stored, and all of them after, of', () => {
  test.each(Object.entries(ways))('%s', async (_, { respond, method, expected }) => {
    const server = await stage(respond)
    server.store.park()
    const wire = await server.ask(method)
    await server.held(wire)
    server.store.release()
    const text = await wire.until(expected)
    expect(text).toMatch(new RegExp(cookie, 'i'))
    expect(server.store.calls).toEqual(['create'])
  })
})

test('1xx responses pass while the response itself waits', async () => {
  const server = await stage((response) => {
    response.writeProcessing()
    response.write('first')
    response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    response.end()
  })
  server.store.park()
  const wire = await server.ask('GET', '/', 'Expect: 100-continue')
  const early = await wire.until(/103 Early Hints\r\nLink: [^]*\r\n\r\n/)
  expect(early).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 102 Processing\r\n\r\nHTTP\/1.1 103 Early Hints\r\n/)
  expect(early).not.toContain('HTTP/1.1 200')
  server.store.release()
  await wire.until(/\r\n\r\nHTTP\/1.1 200 OK\r\n[^]*first/)
})

describe('backpressure:', () => {
  let folder = ''
  const bytes = randomBytes(8_000_000)
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vishnu-'))
    await writeFile(join(folder, 'large'), bytes)
  })
  afterAll(() => rm(folder, { recursive: true }))

  const sum = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')
  const sendings: Record<string, (response: ServerResponse) => unknown> = {
    pipe: (response) => createReadStream(join(folder, 'large')).pipe(response),
    pipeline: (response) => pipeline(createReadStream(join(folder, 'large')), response),
    'pipeline of an async iterator': (response) =>
      pipeline(createReadStream(join(folder, 'large')).iterator(), response),
    'a loop that ignores it': (response) => {
      for (let at = 0; at < bytes.length; at += 100_000) response.write(bytes.subarray(at, at + 100_000))
      response.end()
    },
  }
  test.each(Object.entries(sendings))('a large file arrives intact by %s', async (_, respond) => {
    const server = await stage(respond)
    const [first, second] = await Promise.all([fetch(server.origin), fetch(`${server.origin}/other`)])
    const sums = await Promise.all([first, second].map(async (reply) => sum(new Uint8Array(await reply.arrayBuffer()))))
    expect(sums).toEqual([sum(bytes), sum(bytes)])
  })

  test('write answers false while the response waits, drain follows once, and then it answers as ever', async () => {
    const answers: unknown[] = []
    const server = await stage(async (response) => {
      response.on('drain', () => answers.push('drain'))
      answers.push(response.write('one'))
      await once(response, 'drain')
      answers.push(response.write('two'))
      response.end()
    })
    server.store.park()
    const wire = await server.ask()
    await server.held(wire)
    expect(answers).toEqual([false])
    server.store.release()
    await wire.until(/\r\n0\r\n\r\n$/)
    expect(answers).toEqual([false, 'drain', true])
  })

  test('no drain comes to a response that was ended', async () => {
    const seen: string[] = []
    const server = await stage((response) => {
      response.on('drain', () => seen.push('drain'))
      response.write('one')
      response.end(() => seen.push('finish'))
    })
    await new Browser().get(server.origin)
    expect(seen).toEqual(['finish'])
  })
})

describe('one connection', () => {
  test('serves several requests one after the other', async () => {
    const server = await stage((response, { url }) => response.end(`page ${url}.`))
    const wire = await server.ask('GET', '/1')
    await wire.until(/page \/1\./)
    wire.request('GET', '/2')
    await wire.until(/page \/2\./)
    wire.request('GET', '/3')
    const text = await wire.until(/page \/3\./)
    expect(text.match(/HTTP\/1.1 200 OK/g)).toHaveLength(3)
    expect(text.match(/set-cookie: vishnu=/gi)).toHaveLength(3)
  })

  test('answers pipelined requests in their order', async () => {
    const server = await stage(async (response, { url }) => {
      if (!response.write(`begin ${url} `)) await once(response, 'drain')
      response.end(`end ${url}.`)
    })
    server.store.park()
    const wire = await Wire.dial(server.port)
    for (const path of ['/1', '/2', '/3']) wire.request('GET', path)
    await server.held(wire)
    server.store.release()
    const text = await wire.until(/end \/3\./)
    expect(text.match(/(begin|end) \/\d/g)).toEqual(['begin /1', 'end /1', 'begin /2', 'end /2', 'begin /3', 'end /3'])
    expect(text.match(/HTTP\/1.1 200 OK/g)).toHaveLength(3)
  })
})

test('100 requests at once each get their own page and their own session', async () => {
  const server = await stage((response, { url }) => response.end(`page ${url}`))
  const paths = Array.from({ length: 100 }, (_, index) => `/${index}`)
  const seen = await Promise.all(
    paths.map(async (path) => {
      const browser = new Browser()
      const page = await browser.get(server.origin + path)
      return {
        page: page.body,
        stored: (await browser.get(`${server.origin}/read`)).body,
        cookie: browser.cookie('vishnu'),
      }
    }),
  )
  expect(seen.map(({ page }) => page)).toEqual(paths.map((path) => `page ${path}`))
  expect(seen.map(({ stored }) => stored)).toEqual(paths)
  expect(new Set(seen.map((visitor) => visitor.cookie)).size).toBe(100)
})

describe('a client that goes away', () => {
  /** A visitor with a session, whose request for `/new` is about to be made by a client that can go away. */
  async function visitorOf(server: Stage): Promise<{ browser: Browser; askForNew: () => Promise<Wire> }> {
    const browser = new Browser()
    await browser.get(`${server.origin}/old`)
    return { browser, askForNew: () => server.ask('GET', '/new', `Cookie: vishnu=${browser.cookie('vishnu')}`) }
  }

  test('while the response waits: what it changed is stored all the same', async () => {
    const closed = signal()
    const server = await stage((response, { url }) => {
      if (url === '/new') response.on('close', closed.fire)
      response.end('page')
    })
    const { browser, askForNew } = await visitorOf(server)
    server.store.park()
    const wire = await askForNew()
    await server.held(wire)
    wire.abort()
    await closed.promise
    server.store.release()
    expect((await browser.get(`${server.origin}/read`)).body).toBe('/new')
  })

  test('before the response begins: what it changed is stored all the same', async () => {
    const [arrived, answered] = [signal(), signal()]
    const server = await stage(async (response, { url }) => {
      if (url === '/new') {
        arrived.fire()
        await once(response, 'close')
      }
      response.writeHead(200, { 'X-One': '1' })
      response.write('one', answered.fire)
      response.end('two')
    })
    const { browser, askForNew } = await visitorOf(server)
    const wire = await askForNew()
    await arrived.promise
    wire.abort()
    await answered.promise
    expect((await browser.get(`${server.origin}/read`)).body).toBe('/new')
  })

  test('while a pipeline waits: the pipeline fails as it always does, and what was changed is stored', async () => {
    const failed = signal()
    const server = await stage((response, { url }) => {
      if (url !== '/new') return response.end()
      return pipeline(Readable.from(['one', 'two', 'three']), response).finally(failed.fire)
    })
    const { browser, askForNew } = await visitorOf(server)
    server.store.park()
    const wire = await askForNew()
    await server.held(wire)
    wire.abort()
    await failed.promise
    server.store.release()
    expect((await browser.get(`${server.origin}/read`)).body).toBe('/new')
    expect(server.errors.splice(0)).toMatchObject([{ code: 'ERR_STREAM_PREMATURE_CLOSE' }])
  })
})

describe('to the application the response has begun:', () => {
  const look = ({ headersSent, writableEnded, writableFinished }: ServerResponse): boolean[] => [
    headersSent,
    writableEnded,
    writableFinished,
  ]

  test('headersSent and writableEnded say so at once, writableFinished when it has left', async () => {
    const seen: boolean[][] = []
    const finished = signal()
    const server = await stage((response) => {
      response.on('finish', () => {
        seen.push(look(response))
        finished.fire()
      })
      seen.push(look(response))
      response.writeHead(200)
      seen.push(look(response))
      response.write('one')
      seen.push(look(response))
      response.end()
      seen.push(look(response))
    })
    server.store.park()
    const wire = await server.ask()
    await server.held(wire)
    server.store.release()
    await finished.promise
    expect(seen).toEqual([
      [false, false, false],
      [true, false, false],
      [true, false, false],
      [true, true, false],
      [true, true, true],
    ])
  })

  const codeThrown = (change: () => unknown): unknown => {
    try {
      change()
      return 'none'
    } catch (error) {
      return (error as { code: unknown }).code
    }
  }

  const changes: Record<string, (response: ServerResponse) => unknown> = {
    setHeader: (response) => response.setHeader('X-One', '1'),
    setHeaders: (response) => response.setHeaders(new Map([['X-One', '1']])),
    appendHeader: (response) => response.appendHeader('X-One', '1'),
    removeHeader: (response) => response.removeHeader('X-One'),
    writeHead: (response) => response.writeHead(204),
  }
  test.each(Object.entries(changes))('%s throws, while it waits and after', async (_, change) => {
    const codes: unknown[] = []
    const attempt = (response: ServerResponse): void => void codes.push(codeThrown(() => change(response)))
    const server = await stage(async (response) => {
      if (!response.write('one')) {
        attempt(response)
        await once(response, 'drain')
      }
      attempt(response)
      response.end()
    })
    const { status, headers } = await new Browser().get(server.origin)
    expect(codes).toEqual(['ERR_HTTP_HEADERS_SENT', 'ERR_HTTP_HEADERS_SENT'])
    expect(status).toBe(200)
    expect(headers['x-one']).toBeUndefined()
  })

  test('writeHead alone says so, while it waits and after, and holds', async () => {
    const seen: unknown[] = []
    const server = await stage(async (response, _request, session) => {
      const change = (): unknown => response.writeHead(204, { 'X-One': '2' })
      response.writeHead(201, { 'X-One': '1' })
      seen.push(response.headersSent, codeThrown(change))
      // Verbs wait their turn: behind the commit, and then the response no longer waits.
      await session.save()
      await setImmediate()
      seen.push(response.headersSent, codeThrown(change))
      response.end('page')
    })
    const { status, headers, body } = await new Browser().get(server.origin)
    expect(seen).toEqual([true, 'ERR_HTTP_HEADERS_SENT', true, 'ERR_HTTP_HEADERS_SENT'])
    expect([status, headers['x-one'], body]).toEqual([201, '1', 'page'])
  })

  test('its status and message can no longer be changed', async () => {
    const server = await stage((response) => {
      response.writeHead(201, 'Made')
      response.statusCode = 500
      response.statusMessage = 'Broken'
      response.end('page')
      response.statusCode = 404
    })
    const wire = await server.ask()
    expect(await wire.until(/page\r\n0\r\n\r\n$/)).toMatch(/^HTTP\/1.1 201 Made\r\n/)
  })

  test('the session can no longer be changed, from that very moment', async () => {
    const server = await stage((response, _request, session) => {
      response.end('page')
      expect(() => session.set('path', 'late')).toThrow(expect.objectContaining({ code: 'ERR_COMMITTED' }))
    })
    const browser = new Browser()
    await browser.get(`${server.origin}/early`)
    expect((await browser.get(`${server.origin}/read`)).body).toBe('/early')
  })

  test('the callbacks of write and end are called, in order, once it has left', async () => {
    const called: string[] = []
    const finished = signal()
    const server = await stage((response) => {
      response.write('one', () => called.push('write'))
      response.write('dHdv', 'base64', () => called.push('write'))
      response.end('three', () => {
        called.push('end')
        finished.fire()
      })
    })
    server.store.park()
    const wire = await server.ask()
    await server.held(wire)
    expect(called).toEqual([])
    server.store.release()
    expect(await wire.until(/\r\n0\r\n\r\n$/)).toMatch(/one\r\n[^]*two\r\n[^]*three\r\n/)
    await finished.promise
    expect(called).toEqual(['write', 'write', 'end'])
  })

  test('ending it twice sends the first body', async () => {
    const called: string[] = []
    // So long that it is still under way when Node would complain of the second end.
    const first = 'first '.repeat(500_000)
    const server = await stage((response) => {
      response.end(first, () => called.push('first'))
      response.end('second', () => called.push('second'))
      response.end()
    })
    expect((await new Browser().get(server.origin)).body).toBe(first)
    expect(called.toSorted()).toEqual(['first', 'second'])
  })

  test('a write after the end is not sent, tells its callback, and does no harm', async () => {
    const outcome = signal()
    let failure: unknown
    const server = await stage(async (response) => {
      response.end('whole')
      await server.store.parked
      response.write('late', (error) => {
        failure = error
        outcome.fire()
      })
    })
    server.store.park()
    const wire = await server.ask()
    await server.held(wire)
    await outcome.promise
    expect(failure).toMatchObject({ code: 'ERR_STREAM_WRITE_AFTER_END' })
    server.store.release()
    await wire.until(/whole/)
    wire.request('GET', '/ping')
    expect(await wire.until(/pong$/)).not.toContain('late')
  })
})
