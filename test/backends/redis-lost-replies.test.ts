import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { redis } from '../../src/backends/redis.js'
import { Browser, type BrowserResponse } from '../helpers/browser.js'
import { type App, startApp } from '../helpers/redis-app.js'
import { eventually } from '../helpers/redis-eventually.js'
import { expectUnavailable } from '../helpers/redis-expect.js'
import { readSession, regularVisitor } from '../helpers/redis-load.js'
import { startRedis, type RedisServer } from '../helpers/redis-server.js'
import { ways } from '../helpers/redis-ways.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'

/** Long enough for every client to connect again. */
const backendTimeout = 3000
const script = /evalsha/i

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())

describe.each(ways)('with $name', ({ open, isPatient }) => {
  /** Two instances of one application, and the first has a troubled connection. Redis knows all scripts already. */
  let proxy: TcpProxy
  let app: App
  let direct: App
  let browser: Browser
  let thief: Browser

  beforeEach(async () => {
    proxy = await startTcpProxy(server.port)
    cleanups.push(proxy.close)
    const { backend, close } = open(proxy.port)
    cleanups.push(close)
    app = await startApp(backend, { backendTimeout })
    cleanups.push(app.close)
    direct = await startApp(redis({ host: '127.0.0.1', port: server.port }), { backendTimeout })
    cleanups.push(direct.close)
    browser = await regularVisitor(app)
    thief = browser.clone()
  })

  function expectAnswer(response: BrowserResponse): void {
    expect(isPatient ? [200] : [200, 503]).toContain(response.status)
    if (response.status !== 200) expectUnavailable(response)
  }

  /** The visitor's request, of whose commands one fails. */
  async function troubled(who: Browser, path: string, trouble: Promise<void>): Promise<boolean> {
    const response = await who.post(app.url(path))
    await trouble
    expectAnswer(response)
    return response.status === 200
  }

  describe('a reply that is lost after Redis has done what it was asked', () => {
    test('of a new session: its id is given out only once it is confirmed', async () => {
      const newcomer = new Browser()
      const isDone = await troubled(newcomer, '/rename?argument=ann', proxy.lose('reply', script))
      expect(newcomer.cookie('vishnu') !== undefined).toBe(isDone)
      expect(await readSession(newcomer, direct)).toEqual(isDone ? { user: 'ann' } : {})
    })

    test.each([
      ['update', '/visit?argument=new', { visits: ['first', 'new'] }],
      ['change', '/rename?argument=new', { visits: ['first'], user: 'new' }],
    ])('of an %s: it is done once', async (_, path, expected) => {
      await troubled(browser, path, proxy.lose('reply', script))
      expect(await readSession(browser, direct)).toEqual(expected)
      // Not later either: a client may have kept the command to send it again.
      await eventually(async () => (await browser.get(app.url('/read'))).status === 200)
      expect(await readSession(browser, direct)).toEqual(expected)
    })

    test('of a log-out: it is confirmed, or can be asked for again', async () => {
      const isDone = await troubled(browser, '/logout', proxy.lose('reply', script))
      expect(browser.cookie('vishnu') === undefined).toBe(isDone)
      await eventually(async () => (await browser.post(app.url('/logout'))).status === 200)
      expect(browser.cookie('vishnu')).toBeUndefined()
      expect(await readSession(thief, direct)).toEqual({})
    })

    test.each([
      ['new session', 0],
      ['end of the old one', 1],
    ])('of a log-in, of its %s: the new id is given out only once both are confirmed', async (_, skip) => {
      const isDone = await troubled(browser, '/login?argument=ann', proxy.lose('reply', script, { skip }))
      expect(browser.cookie('vishnu') !== thief.cookie('vishnu')).toBe(isDone)
      expect((await readSession(browser, direct)).user).toBe(isDone ? 'ann' : undefined)
      expect((await readSession(thief, direct)).user).toBeUndefined()
    })

    test('is not taken for a conflict when the command is sent again after another write', async () => {
      const lost = proxy.lose('reply', script)
      const pending = browser.post(app.url('/visit?argument=ours'))
      proxy.hold()
      await lost
      expect((await thief.post(direct.url('/visit?argument=theirs'))).status).toBe(200)
      proxy.release()
      // Whether theirs was built on ours can't be known: doing ours again might do it twice.
      expectUnavailable(await pending)
      expect((await readSession(browser, direct)).visits).toEqual(['first', 'ours', 'theirs'])
    })

    test('does not bring a session back that was logged out since', async () => {
      const lost = proxy.lose('reply', script)
      const pending = browser.post(app.url('/visit?argument=ours'))
      proxy.hold()
      await lost
      expect((await thief.post(direct.url('/logout'))).status).toBe(200)
      proxy.release()
      const response = await pending
      // Whether it learns that the session is gone, or nothing at all.
      expect([409, 503]).toContain(response.status)
      expect(response.setCookies).toEqual([])
      expect(await readSession(browser, direct)).toEqual({})
    })
  })

  describe('a command that is lost on its way to Redis', () => {
    test('of a new session: its id is given out only if it is stored after all', async () => {
      const newcomer = new Browser()
      const isDone = await troubled(newcomer, '/rename?argument=ann', proxy.lose('request', script))
      expect(newcomer.cookie('vishnu') !== undefined).toBe(isDone)
      expect(await readSession(newcomer, direct)).toEqual(isDone ? { user: 'ann' } : {})
    })

    test('of an update: it is confirmed only if it is done after all', async () => {
      const isDone = await troubled(browser, '/visit?argument=new', proxy.lose('request', script))
      expect((await readSession(browser, direct)).visits).toEqual(isDone ? ['first', 'new'] : ['first'])
    })

    test('of a log-out: it is confirmed only if nobody is logged in any more', async () => {
      const isDone = await troubled(browser, '/logout', proxy.lose('request', script))
      expect((await readSession(thief, direct)).visits).toEqual(isDone ? undefined : ['first'])
      expect(browser.cookie('vishnu') === undefined).toBe(isDone)
    })

    test.each([
      ['new session', 0],
      ['end of the old one', 1],
    ])('of a log-in, of its %s: it is confirmed only if the old id is worthless', async (_, skip) => {
      const isDone = await troubled(browser, '/login?argument=ann', proxy.lose('request', script, { skip }))
      expect(await readSession(thief, direct)).toEqual(isDone ? {} : { visits: ['first'] })
      expect((await readSession(browser, direct)).user).toBe(isDone ? 'ann' : undefined)
    })
  })
})
