import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Entry } from '../../src/backend.js'
import { redis } from '../../src/backends/redis.js'
import type { RedisClient } from '../../src/backends/redis-client.js'
import { Browser } from '../helpers/browser.js'
import { type App, startApp } from '../helpers/redis-app.js'
import { clientNames, openReady } from '../helpers/redis-clients.js'
import { eventually } from '../helpers/redis-eventually.js'
import { expectUnavailable } from '../helpers/redis-expect.js'
import { readSession, regularVisitor } from '../helpers/redis-load.js'
import { overtake } from '../helpers/redis-overtaken.js'
import { type RedisServer, startRedis } from '../helpers/redis-server.js'
import { startTcpProxy } from '../helpers/tcp-proxy.js'

const backendTimeout = 2000

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

interface Pair {
  readonly master: RedisServer
  readonly replica: RedisServer
  /** From now on the replica learns nothing more. */
  readonly part: () => Promise<void>
  readonly stop: () => Promise<void>
}

async function startPair(): Promise<Pair> {
  const master = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] })
  const wire = await startTcpProxy(master.port)
  const replica = await startRedis({ args: ['--replicaof', `127.0.0.1 ${wire.port}`] })
  const replicas = async (): Promise<number> =>
    ((await master.command('INFO', 'replication')).match(/state=online/g) ?? []).length
  await eventually(async () => (await replicas()) === 1)
  return {
    master,
    replica,
    part: async () => {
      await wire.close()
      await eventually(async () => (await replicas()) === 0)
    },
    stop: async () => {
      await wire.close().catch(() => undefined)
      await replica.stop()
      await master.stop()
    },
  }
}

/** How an application connects: by itself, or through a client of its own. */
const ways: Record<string, (port: number) => Promise<{ host: string; port: number } | { client: RedisClient }>> = {
  'a connection of its own': async (port) => ({ host: '127.0.0.1', port }),
  ...Object.fromEntries(
    clientNames.map((name) => [
      `the application's client of ${name}`,
      async (port: number) => {
        const { client, close } = await openReady(name, port)
        cleanups.push(close)
        return { client }
      },
    ]),
  ),
}

describe.each(Object.entries(ways))('writes that wait for a replica, with %s,', (_, connect) => {
  let pair: Pair
  beforeEach(async () => {
    pair = await startPair()
    cleanups.push(pair.stop)
  })

  async function startOn(port: number, waitForReplicas: number): Promise<App> {
    const app = await startApp(redis({ ...(await connect(port)), waitForReplicas }), { backendTimeout })
    cleanups.push(app.close)
    return app
  }

  test('are confirmed only if they outlive the master, and without waiting a log-out can be lost', async () => {
    const [careful, careless] = [await startOn(pair.master.port, 1), await startOn(pair.master.port, 0)]
    const visitors = await Promise.all([careful, careful, careless].map((app) => regularVisitor(app)))
    const [early, late, other] = visitors as [Browser, Browser, Browser]
    const [earlyThief, otherThief] = [early.clone(), other.clone()]
    const isDone = (browser: Browser, path: string) => async (): Promise<boolean> =>
      (await browser.post(careful.url(path))).status === 200
    await eventually(isDone(early, '/logout'))
    await eventually(isDone(late, '/rename?argument=confirmed'))

    await pair.part()
    expectUnavailable(await late.post(careful.url('/logout')))
    expectUnavailable(await new Browser().post(careful.url('/visit?argument=refused')))
    expect((await other.post(careless.url('/logout'))).status).toBe(200)
    expect([...careful.codes]).toEqual(['ERR_BACKEND'])

    await pair.master.kill9()
    await pair.replica.command('REPLICAOF', 'NO', 'ONE')
    const after = await startOn(pair.replica.port, 0)
    expect(await readSession(earlyThief, after)).toEqual({})
    expect(await readSession(late, after)).toEqual({ visits: ['first'], user: 'confirmed' })
    // Here it is: back in, after a log-out that was confirmed. This is what the option is for.
    expect((await readSession(otherThief, after)).visits).toEqual(['first'])
  })

  test('are not taken for done where the master has them and the replica may not', async () => {
    const proxy = await startTcpProxy(pair.master.port)
    cleanups.push(proxy.close)
    const [app, direct] = [await startOn(proxy.port, 1), await startOn(pair.master.port, 0)]
    const browser = await regularVisitor(app)
    await pair.part()
    const lost = proxy.lose('reply', /evalsha/i)
    const response = await browser.post(app.url('/visit?argument=ours'))
    await lost
    expectUnavailable(response)
    expect((await readSession(browser, direct)).visits).toEqual(['first', 'ours'])
  })

  test('of a log-out are not confirmed by those of an earlier one that were not', async () => {
    const app = await startOn(pair.master.port, 1)
    const browser = await regularVisitor(app)
    await pair.part()
    for (const attempt of [1, 2]) {
      expectUnavailable(await browser.post(app.url('/logout')))
      expect([attempt, browser.cookie('vishnu')]).toEqual([attempt, expect.any(String)])
    }
  })

  test('are not done twice when they are sent again after another', async () => {
    const proxy = await startTcpProxy(pair.master.port)
    cleanups.push(proxy.close)
    const [app, direct] = [await startOn(proxy.port, 1), await startOn(pair.master.port, 0)]
    const { response, visits } = await overtake(app, direct, proxy)
    expectUnavailable(response)
    expect(visits).toEqual(['first', 'ours', 'theirs'])
  })

  test('leave those alone who only read, whether there is a replica or not', async () => {
    const backend = redis({ ...(await connect(pair.master.port)), waitForReplicas: 1 })
    cleanups.push(() => backend.close?.())
    const [now, value] = [Date.now(), Buffer.from('value')]
    let [key, entry]: [string, Entry] = ['', { value }]
    await eventually(async () => {
      key = randomBytes(32).toString('base64url')
      const created = await backend.create(key, value, now + 60_000, now).catch(() => 'not in time')
      if (typeof created === 'object') entry = created
      return typeof created === 'object'
    })
    await pair.part()
    expect(await backend.read(key, now)).toMatchObject({ value })
    expect(await backend.touch(key, entry, now + 70_000, now)).toBe('touched')
    // What is not done needs no replica.
    expect(await backend.replace('n'.repeat(43), entry, value, now + 60_000, now)).toBe('gone')
  })
})
