import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startBlackhole } from '../helpers/blackhole.js'
import { Browser } from '../helpers/browser.js'
import { freePort } from '../helpers/free-port.js'
import { type App, startApp } from '../helpers/redis-app.js'
import { eventually } from '../helpers/redis-eventually.js'
import { expectUnavailable } from '../helpers/redis-expect.js'
import { Load, readSession, regularVisitor } from '../helpers/redis-load.js'
import { startRedis, type RedisServer } from '../helpers/redis-server.js'
import { type Way, ways } from '../helpers/redis-ways.js'

const backendTimeout = 300
/** What a loaded machine may add to a step whose own limit is the timeout. */
const slack = 1000

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function start({ backend, close }: ReturnType<Way['open']>): Promise<App> {
  cleanups.push(close)
  const app = await startApp(backend, { backendTimeout })
  cleanups.push(app.close)
  return app
}

function expectWithinBudget(app: App): void {
  expect([...app.codes]).toEqual(['ERR_BACKEND'])
  expect(app.longestStep()).toBeLessThan(backendTimeout + slack)
}

describe.each(ways)('with $name', ({ open }) => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis({ appendfsync: 'always' })
  })
  afterAll(() => server.stop())

  test('a crash of Redis under load loses nothing that was confirmed, and the application recovers', async () => {
    const app = await start(open(server.port))
    const load = new Load(app, await regularVisitor(app))
    load.start()
    await load.until(() => load.acknowledged.length >= 30)
    await server.kill9()
    await load.until(() => load.failed.length >= 8)
    await server.restart()
    const before = load.acknowledged.length
    await load.until(() => load.acknowledged.length >= before + 30)
    await load.stop()
    expect(await load.faults()).toEqual([])
    expectWithinBudget(app)
  })

  test('of 64 requests at once every one is answered while Redis crashes and comes back', async () => {
    const app = await start(open(server.port))
    const load = new Load(app, await regularVisitor(app))
    const all = Promise.all(Array.from({ length: 64 }, () => load.visit()))
    await load.until(() => load.responses.length >= 4)
    await server.kill9()
    await all
    expect(load.acknowledged.length + load.failed.length).toBe(64)
    await server.restart()
    await eventually(() => load.visit())
    expect(await load.faults()).toEqual([])
    expectWithinBudget(app)
  })

  test('while Redis hangs every request is answered with 503 in time, and all goes on when it wakes', async () => {
    const app = await start(open(server.port))
    const load = new Load(app, await regularVisitor(app))
    load.start()
    await load.until(() => load.acknowledged.length >= 30)
    server.pause()
    cleanups.push(server.resume)
    await load.until(() => load.failed.length >= 8)
    server.resume()
    const before = load.acknowledged.length
    await load.until(() => load.acknowledged.length >= before + 30)
    await load.stop()
    expect(await load.faults()).toEqual([])
    expectWithinBudget(app)
  })

  test('a Redis that accepts and never answers costs every request its budget and no more', async () => {
    const well = await start(open(server.port))
    const regular = await regularVisitor(well)
    const cookie = regular.cookie('vishnu')
    const blackhole = await startBlackhole()
    cleanups.push(blackhole.close)
    const app = await start(open(blackhole.port))
    const requests = ['/read', '/visit', '/rename', '/login', '/logout'].map((path) => regular.post(app.url(path)))
    const newcomers = ['/visit', '/rename', '/login'].map((path) => new Browser().post(app.url(`${path}?argument=x`)))
    for (const response of await Promise.all([...requests, ...newcomers])) expectUnavailable(response)
    expectWithinBudget(app)
    expect(regular.cookie('vishnu')).toBe(cookie)
    expect(await readSession(regular, well)).toMatchObject({ visits: ['first'] })
  })

  test('an application that starts before Redis answers 503 until it is there', async () => {
    const port = await freePort()
    const app = await start(open(port))
    const browser = new Browser()
    for (const path of ['/visit?argument=a', '/rename?argument=b']) {
      expectUnavailable(await browser.post(app.url(path)))
    }
    // A visitor without a session needs no Redis.
    expect(await readSession(browser, app)).toEqual({})
    expectWithinBudget(app)

    const late = await startRedis({ port })
    cleanups.push(late.stop)
    const regular = await regularVisitor(app)
    expect((await readSession(regular, app)).visits).toContain('first')
  })
})
