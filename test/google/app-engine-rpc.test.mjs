import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { appEngineMemcache, withAppEngineTicket } from '../../src/backends/app-engine-memcache.ts'
import { field, Message } from '../../src/backends/app-engine-memcache-protobuf.ts'
import { withSessions } from '../../src/adapters/fetch.ts'
import { memory } from '../../src/backends/memory.ts'
import { createSessions } from '../../src/index.ts'
import { startBlackhole } from '../helpers/blackhole.ts'
import { newVisitor, secret } from '../helpers/contract-requests.ts'
import { seededRandom } from '../helpers/random.ts'

// What App Engine may say that the SDK's API server never does. Needs no SDK.

const KEY = 'k'.repeat(43)
const [now, deadline] = [0, 60_000]
const value = Buffer.from('a value')
const inRequest = (work, headers = { 'x-appengine-api-ticket': 'a ticket' }) => withAppEngineTicket({ headers }, work)

const cleanups = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** A server that answers every call with the same, and tells which tickets it was shown. */
async function startServer(answer, status = 200) {
  const tickets = []
  let connections = 0
  const server = createServer((request, response) => void handle(request, response))
  async function handle(request, response) {
    tickets.push(
      Message.parse(await buffer(request))
        .bytes(5)
        .toString(),
    )
    response.writeHead(status).end(answer)
  }
  server.on('connection', () => connections++)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: server.address().port, tickets, connections: () => connections }
}

function connect(port, options) {
  const backend = appEngineMemcache({ host: '127.0.0.1', port, timeout: 20_000, ...options })
  cleanups.push(() => backend.close())
  return backend
}

const answered = (...fields) => field.bytes(1, Buffer.concat(fields))
const error = (number, code) => field.bytes(number, field.varint(1, code))
const item = ({ key = KEY, cas = field.fixed64(5, 7n) } = {}) =>
  field.group(1, [field.bytes(2, key), field.bytes(3, value), field.fixed32(4, 0), cas])
const [HIT, MISS] = [field.varint(7, 1), field.varint(7, 2)]

describe('a read is an outage, and never a visitor without a session, when the answer is', () => {
  const answers = {
    'an rpc_error': [error(5, 4), 'rpc_error 4 OVER_QUOTA'],
    'an rpc_error of an unknown number': [error(5, 99), 'rpc_error 99'],
    'an rpc_error of number 0, which is left out': [field.bytes(5, ''), 'rpc_error 0 UNKNOWN'],
    'an application_error': [error(3, 9), 'application_error 9 UNAVAILABLE'],
    'an application_error and an empty response': [
      Buffer.concat([answered(), error(3, 1)]),
      'application_error 1 UNSPECIFIED_ERROR',
    ],
    'an exception of Python': [field.bytes(2, 'cexceptions\nRuntimeError'), 'has thrown an exception'],
    'an exception of Java': [field.bytes(4, 'java.lang'), 'has thrown an exception'],
    'no answer at all': ['', 'the answer is empty'],
    'a value that was truncated': [answered(item(), field.varint(7, 3)), 'TRUNCATED'],
    'a deadline that was exceeded': [answered(field.varint(7, 4)), 'DEADLINE_EXCEEDED'],
    'a part of the cache that is unreachable': [answered(field.varint(7, 5)), 'UNREACHABLE'],
    'another error': [answered(field.varint(7, 6)), 'OTHER_ERROR'],
    'a status that nobody knows': [answered(field.varint(7, 99)), 'status 99'],
    'a hit without an item': [answered(HIT), 'HIT'],
    'a miss with an item': [answered(item(), MISS), 'MISS'],
    'the item of another key': [answered(item({ key: 'other' })), 'something else'],
    'an item without a CAS id': [answered(item({ cas: Buffer.alloc(0) })), 'something else'],
    'a page of HTML': ['<html><body>It works!</body></html>', 'failed'],
    'a message that is cut off': [answered(item()).subarray(0, 30), 'cut off'],
    'a group that does not end': [answered(item().subarray(0, -1)), 'cut off'],
    'a group that ends as another': [answered(item().subarray(0, -1), Buffer.from([2 * 8 + 4])), 'has not begun'],
    'the end of a group alone': [Buffer.from([2 * 8 + 4]), 'has not begun'],
    'a number that does not end': [Buffer.alloc(20, 0xff), 'too long'],
    'very long': [Buffer.alloc(3 * 1024 * 1024), 'too long'],
  }

  test.each(Object.entries(answers))('%s', async (_, [answer, message]) => {
    const { port } = await startServer(answer)
    const backend = connect(port)
    const read = inRequest(() => backend.read(KEY, now))
    await expect(read).rejects.toThrow('App Engine memcache: Get')
    await expect(read).rejects.toThrow(message)
  })

  test.each([201, 204, 302, 403, 404, 429, 500, 502, 503])('status %i', async (status) => {
    const { port } = await startServer(answered(), status)
    await expect(inRequest(() => connect(port).read(KEY, now))).rejects.toThrow(
      `Get failed: the API server answered with status ${status}`,
    )
  })

  test('none, within the time for a call', async () => {
    const blackhole = await startBlackhole()
    cleanups.push(blackhole.close)
    const read = inRequest(() => connect(blackhole.port, { timeout: 50 }).read(KEY, now))
    await expect(read).rejects.toThrow('Get failed: no answer within 50 ms')
  })

  test('only its head, within the time for a call', async () => {
    const server = createServer((_, response) => void response.writeHead(200).write('a'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanups.push(() => server.close().closeAllConnections())
    const read = inRequest(() => connect(server.address().port, { timeout: 50 }).read(KEY, now))
    await expect(read).rejects.toThrow('Get failed: no answer within 50 ms')
  })

  test('cut off', async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('a', () => response.destroy())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanups.push(() => server.close())
    await expect(inRequest(() => connect(server.address().port).read(KEY, now))).rejects.toThrow('Get failed: aborted')
  })

  test('that there is nobody', async () => {
    await expect(inRequest(() => connect(1).read(KEY, now))).rejects.toThrow('ECONNREFUSED')
  })
})

test('a miss is told with a status and without one, and a hit too', async () => {
  for (const answer of [answered(), answered(MISS)]) {
    const { port } = await startServer(answer)
    expect(await inRequest(() => connect(port).read(KEY, now))).toBeUndefined()
  }
  for (const answer of [answered(item()), answered(item(), HIT)]) {
    const { port } = await startServer(answer)
    expect(await inRequest(() => connect(port, { layout: 'plain' }).read(KEY))).toMatchObject({ value })
  }
})

describe('a write is in doubt when the answer is', () => {
  const answers = { ERROR: 3, DEADLINE_EXCEEDED: 5, UNREACHABLE: 6, OTHER_ERROR: 7, 'status 99': 99 }

  test.each(Object.entries(answers))('%s', async (name, status) => {
    const { port } = await startServer(answered(field.varint(1, status)))
    const create = inRequest(() => connect(port).create(KEY, value, deadline, now))
    await expect(create).rejects.toThrow(`Set was answered with ${name}`)
    // The core asks again only after errors that are not its own.
    await expect(create).rejects.not.toHaveProperty('code')
  })

  test('no status', async () => {
    const { port } = await startServer(answered())
    await expect(inRequest(() => connect(port).create(KEY, value, deadline, now))).rejects.toThrow('no status')
  })

  test.each(Object.entries({ DEADLINE_EXCEEDED: 3, UNREACHABLE: 4, OTHER_ERROR: 5 }))(
    '%s, to a removal',
    async (name, status) => {
      const { port } = await startServer(answered(field.varint(1, status)))
      await expect(inRequest(() => connect(port).delete(KEY))).rejects.toThrow(`Delete was answered with ${name}`)
    },
  )
})

describe('the ticket', () => {
  let server
  let backend
  beforeEach(async () => {
    server = await startServer(answered())
    backend = connect(server.port)
  })

  test('is the one of the request, also where two are handled at the same time', async () => {
    let go
    const gate = new Promise((resolve) => (go = resolve))
    const handle = (ticket, wait) =>
      inRequest(
        async () => {
          await wait
          await backend.read(KEY, now)
        },
        { 'x-appengine-api-ticket': ticket },
      )
    const first = handle('first', gate)
    await handle('second')
    go()
    await first
    expect(server.tickets).toEqual(['second', 'first'])
  })

  test('is read from the headers of the fetch standard too', async () => {
    const sessions = createSessions({ secret, backend })
    const handler = withSessions(sessions, async (request) => {
      const session = await sessions.get(request)
      return new Response(String(session.started))
    })
    const cookie = await newVisitor(createSessions({ secret, backend: memory() }), { user: 'ann' })
    const request = new Request('https://shop.example/', { headers: { cookie, 'X-Appengine-Api-Ticket': 'of fetch' } })
    const response = await withAppEngineTicket(request, () => handler(request))
    expect(await response.text()).toBe('false')
    expect(server.tickets).toEqual(['of fetch'])
  })

  test('is missing outside of a request: the error says what to do, and nothing is sent', async () => {
    await expect(backend.read(KEY, now)).rejects.toMatchObject({ code: 'ERR_NO_REQUEST', status: 500 })
    await expect(backend.read(KEY, now)).rejects.toThrow('withAppEngineTicket(request, handler)')
    expect(server.connections()).toBe(0)
  })

  test.each([
    ['none', {}],
    ['an empty one', { 'x-appengine-api-ticket': '' }],
  ])('is an outage where App Engine has sent %s', async (_, headers) => {
    const read = inRequest(() => backend.read(KEY, now), headers)
    await expect(read).rejects.toMatchObject({ code: 'ERR_BACKEND', status: 503 })
    await expect(read).rejects.toThrow('app_engine_apis: true')
    expect(server.connections()).toBe(0)
  })
})

test('one connection serves one call after the other', async () => {
  const server = await startServer(answered())
  const backend = connect(server.port)
  for (let call = 0; call < 5; call++) await inRequest(() => backend.read(KEY, now))
  expect(server.connections()).toBe(1)
})

test('whatever bytes come, they are a message or a RangeError', () => {
  const random = seededRandom('messages')
  const outcomes = new Set()
  for (let round = 0; round < 20_000; round++) {
    try {
      outcomes.add(Message.parse(random(1 + (round % 40))).constructor)
    } catch (thrown) {
      outcomes.add(thrown.constructor)
    }
  }
  expect(outcomes).toEqual(new Set([Message, RangeError]))
})

describe('the options', () => {
  test.each([
    [{ namespace: 'a b' }, 'namespace must be up to 100 of the characters A-Z a-z 0-9 . _ -, not a string of length 3'],
    [{ namespace: 'x'.repeat(101) }, 'namespace must be'],
    [{ host: '' }, 'host must be a host name or an address'],
    [{ host: 'http://api' }, 'host must be a host name or an address'],
    [{ port: 0 }, 'port must be a whole number from 1 to 65535, not 0'],
    [{ timeout: 1.5 }, 'timeout must be a whole number of milliseconds from 1 to 600000, not 1.5'],
    [{ layout: 'native' }, "layout must be 'plain' or left out"],
    [{ name_space: 'a' }, 'name_space is not an option: did you mean namespace?'],
  ])('%j is refused: %s', (options, message) => {
    expect(() => appEngineMemcache(options)).toThrow(message)
  })

  test('name the server where the environment does not', async () => {
    const { port, tickets } = await startServer(answered())
    const { API_HOST, API_PORT } = process.env
    Object.assign(process.env, { API_HOST: '127.0.0.1', API_PORT: String(port) })
    try {
      const backend = appEngineMemcache()
      await inRequest(() => backend.read(KEY, now))
      await backend.close()
    } finally {
      for (const [name, before] of Object.entries({ API_HOST, API_PORT })) {
        if (before === undefined) delete process.env[name]
        else process.env[name] = before
      }
    }
    expect(tickets).toEqual(['a ticket'])
  })
})
