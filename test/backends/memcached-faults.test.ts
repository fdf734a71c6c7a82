import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backend.js'
import { startBlackhole } from '../helpers/blackhole.js'
import { Browser, type BrowserResponse } from '../helpers/browser.js'
import { freePort } from '../helpers/free-port.js'
import { startMemcached, type MemcachedServer } from '../helpers/memcached-server.js'
import { memcachedWays } from '../helpers/memcached-ways.js'
import { type App, startApp } from '../helpers/redis-app.js'
import { eventually } from '../helpers/redis-eventually.js'
import { expectUnavailable } from '../helpers/redis-expect.js'
import { Load, readSession, regularVisitor } from '../helpers/redis-load.js'

const backendTimeout = 300
/** What a loaded machine may add to a step whose own limit is the timeout. */
const slack = 1000

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function start(backend: Backend): Promise<App> {
  const app = await startApp(backend, { backendTimeout })
  cleanups.push(app.close)
  return app
}

function expectWithinBudget(app: App, ...codes: string[]): void {
  expect(['ERR_BACKEND', ...codes]).toEqual(expect.arrayContaining([...app.codes]))
  expect(app.codes).toContain('ERR_BACKEND')
  expect(app.longestStep()).toBeLessThan(backendTimeout + slack)
}

/**
 * Whether Memcached has the session or has lost it, an answer says so: 200, 503 for a Memcached that is away, 409 for a
 * session that ended under the request. No cookie is cleared, and none is set that was not stored for.
 */
function isHonest({ status, setCookies }: BrowserResponse): boolean {
  if (status !== 200) return (status === 409 || status === 503) && setCookies.length === 0
  return !setCookies.some((line) => /Max-Age=0/i.test(line))
}

describe.each(memcachedWays)('with $name', ({ open }) => {
  let server: MemcachedServer
  beforeAll(async () => {
    server = await startMemcached()
  })
  afterAll(() => server.stop())

  const connect = (port = server.port): Backend => open({ host: '127.0.0.1', port })

  test('of 64 requests at once every one is answered while Memcached is killed and comes back empty', async () => {
    const app = await start(connect())
    const regular = await regularVisitor(app)
    const original = regular.clone()
    const load = new Load(app, regular)
    const all = Promise.all(Array.from({ length: 64 }, () => load.visit()))
    await load.until(() => load.responses.length >= 4)
    await server.kill9()
    await server.restart()
    await all
    expect(load.acknowledged.length + load.failed.length).toBe(64)
    await eventually(() => load.visit())
    expect(load.responses.filter((response) => !isHonest(response))).toEqual([])
    // What was lost stays lost: no straggler has created it anew.
    expect(await readSession(original, app)).toEqual({})
    expect(app.longestStep()).toBeLessThan(backendTimeout + slack)
  })

  test('while Memcached is away under load every request is told so, and newcomers are served when it is back', async () => {
    const app = await start(connect())
    const load = new Load(app, await regularVisitor(app))
    load.start()
    await load.until(() => load.acknowledged.length >= 30)
    await server.kill9()
    await load.until(() => load.failed.length >= 8)
    await server.restart()
    const before = load.acknowledged.length
    await load.until(() => load.acknowledged.length >= before + 30)
    await load.stop()
    expect(load.responses.filter((response) => !isHonest(response))).toEqual([])
    expectWithinBudget(app, 'ERR_SESSION_GONE')
  })

  test('while Memcached hangs every request is answered with 503 in time, and nothing is lost when it wakes', async () => {
    const app = await start(connect())
    const load = new Load(app, await regularVisitor(app))
    load.start()
    await load.until(() => load.acknowledged.length >= 30)
    await server.pause()
    cleanups.push(server.resume)
    await load.until(() => load.failed.length >= 8)
    server.resume()
    const before = load.acknowledged.length
    await load.until(() => load.acknowledged.length >= before + 30)
    await load.stop()
    expect(await load.faults()).toEqual([])
    expectWithinBudget(app)
  })

  /** What visitors see of such a server: all that it must be is an outage, which changes nothing. */
  async function visitsTo(port: number): Promise<{ statuses: number[]; cookies: string[]; app: App }> {
    const well = await start(connect())
    const regular = await regularVisitor(well)
    const app = await start(connect(port))
    const requests = ['/read', '/visit', '/rename', '/login', '/logout'].map((path) => regular.post(app.url(path)))
    const newcomers = ['/visit', '/rename', '/login'].map((path) => new Browser().post(app.url(`${path}?argument=x`)))
    const responses = await Promise.all([...requests, ...newcomers])
    expect(await readSession(regular, well)).toMatchObject({ visits: ['first'] })
    return {
      statuses: [...new Set(responses.map(({ status }) => status))],
      cookies: responses.flatMap(({ setCookies }) => setCookies),
      app,
    }
  }
  const outage = { statuses: [503], cookies: [] }

  test('a server that accepts and never answers costs every request its budget and no more', async () => {
    const blackhole = await startBlackhole()
    cleanups.push(blackhole.close)
    const visits = await visitsTo(blackhole.port)
    expect(visits).toMatchObject(outage)
    expectWithinBudget(visits.app)
  })

  test('a server that is not there is told at once', async () => {
    // A port that no other test's server can have taken meanwhile.
    const visits = await visitsTo(1)
    expect(visits).toMatchObject(outage)
    expectWithinBudget(visits.app)
  })

  const garbage = {
    'of a web server': 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n',
    'of a mail server': '220 mail.example.com ESMTP\r\n',
    'of a Redis': '-ERR unknown command\r\n',
    'of noise': Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 256)),
    'of line ends': '\r\n'.repeat(100),
    'without an end': 'x'.repeat(100_000),
    'of names that objects have': 'constructor\r\n__proto__\r\ntoString\r\n',
    'of numbers': '12345\r\n',
    'of success at something else': 'OK\r\nDELETED\r\nTOUCHED\r\n',
    'of too many words': 'DELETED\r\nNOT_FOUND\r\nDELETED\r\n',
    'of a value for another key': 'VALUE other 0 5 7\r\nhello\r\nEND\r\n',
    'of a value without a length': 'VALUE x 0 y z\r\nhello\r\nEND\r\n',
    'of a value that is shorter than it says': 'VALUE x 0 5000 7\r\nhello\r\nEND\r\n',
    'of a value that is longer than it says': 'VALUE x 0 2 7\r\nhello\r\nEND\r\n',
    'of a meta value for nobody': 'VA 5 c7 Onobody\r\nhello\r\n',
    'of a meta value of absurd length': 'VA 99999999999 c7\r\nhello\r\n',
    'of misses': 'EN\r\nEN\r\nNF\r\n',
  }

  test.each(Object.entries(garbage))('a server whose answers consist %s is an outage', async (_, answer) => {
    const { port } = await startBabbler(answer)
    const visits = await visitsTo(port)
    expect(visits).toMatchObject(outage)
    expectWithinBudget(visits.app)
  })

  test.each([
    ['a wrong answer', 'DELETED\r\n'],
    ['an answer too many', 'END\r\nSTORED\r\n'],
  ])('a connection that has brought %s is not used again: the next one would be wrong too', async (_, answer) => {
    const babbler = await startBabbler(answer)
    const backend = connect(babbler.port)
    cleanups.push(() => backend.close?.())
    await eventually(async () => {
      await backend.read('k'.repeat(43), Date.now()).catch(() => undefined)
      return babbler.connections() > 1
    })
    expect(babbler.connections()).toBe(2)
  })

  test('an application that starts before Memcached answers 503 until it is there', async () => {
    const port = await freePort()
    const app = await start(connect(port))
    const browser = new Browser()
    for (const path of ['/visit?argument=a', '/rename?argument=b']) {
      expectUnavailable(await browser.post(app.url(path)))
    }
    // A visitor without a session needs no Memcached.
    expect(await readSession(browser, app)).toEqual({})
    expectWithinBudget(app)

    const late = await startMemcached({ port })
    cleanups.push(late.stop)
    const regular = await regularVisitor(app)
    expect((await readSession(regular, app)).visits).toContain('first')
  })

  test('a server that keeps no versions is refused, and says why', async () => {
    const careless = await startMemcached({ args: ['-C'] })
    cleanups.push(careless.stop)
    const backend = connect(careless.port)
    cleanups.push(() => backend.close?.())
    const [key, now] = ['k'.repeat(43), Date.now()]
    const write = backend.create(key, Buffer.from('x'), now + 60_000, now)
    await expect(write.then(() => backend.read(key, now))).rejects.toThrow('-C')
  })

  test('a call that is on its way when the backend is closed is answered all the same', async () => {
    const backend = open({ host: '127.0.0.1', port: server.port, timeout: 300 })
    const call = backend.read('k'.repeat(43), Date.now())
    await backend.close?.()
    const [outcome] = await Promise.allSettled([call])
    expect(outcome.status).toMatch(/fulfilled|rejected/)
  })

  test('one of three servers that is down is an outage for its share of the visitors only', async () => {
    const others = await Promise.all([startMemcached(), startMemcached()])
    for (const other of others) cleanups.push(other.stop)
    const all = [server, ...others].map(({ host, port }) => ({ host, port }))
    const app = await start(open({ servers: all }))
    const visitors = await Promise.all(Array.from({ length: 60 }, () => regularVisitor(app)))
    await others[0]?.kill9()
    const responses = await Promise.all(visitors.map((visitor) => visitor.get(app.url('/read'))))
    const seen = responses.map(({ status, setCookies, body }) => `${status} ${setCookies.join()}${body}`)
    expect(new Set(seen)).toEqual(new Set(['200 {"visits":["first"]}', '503 ERR_BACKEND']))
  })
})

/** A server that says always the same, as soon as it is asked anything. */
async function startBabbler(answer: string | Buffer): Promise<{ port: number; connections: () => number }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', () => socket.write(answer))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return { port: (server.address() as AddressInfo).port, connections: () => sockets.size }
}
