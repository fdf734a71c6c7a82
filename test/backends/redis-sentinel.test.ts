import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backend.js'
import { redis } from '../../src/backends/redis.js'
import { lawsOf } from '../helpers/laws.js'
import { type App, startApp } from '../helpers/redis-app.js'
import { sentinelClients } from '../helpers/redis-clients-sentinel.js'
import type { OpenClient } from '../helpers/redis-clients.js'
import { expectUnavailable } from '../helpers/redis-expect.js'
import { Load, regularVisitor } from '../helpers/redis-load.js'
import { overtake } from '../helpers/redis-overtaken.js'
import { masterName, type SentinelGroup, startSentinels } from '../helpers/redis-sentinel.js'
import { startTcpProxy } from '../helpers/tcp-proxy.js'

const backendTimeout = 500
/** What a loaded machine may add to a step whose own limit is the timeout. */
const slack = 3000

let group: SentinelGroup
beforeAll(async () => {
  group = await startSentinels()
})
afterAll(() => group.stop())

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const names = Object.keys(sentinelClients)

const sentinelPorts = (): number[] => group.sentinels.map(({ port }) => port)

async function openClient(name: string): Promise<OpenClient> {
  const opened = sentinelClients[name]!(sentinelPorts())
  await opened.ready()
  return opened
}

// What ioredis and iovalkey have for Sentinels is their client of one server.
describe('every law of backends is kept with createSentinel of @redis/client:', () => {
  let opened: OpenClient
  let backend: Backend
  beforeAll(async () => {
    opened = await openClient('@redis/client')
    backend = redis({ client: opened.client })
  })
  afterAll(() => opened.close())
  test.each(lawsOf(() => backend))('%s', async (_, check) => expect(await check()).toBeUndefined())
})

test.each(names)('a write that %s sends again after another is not taken for a conflict', async (name) => {
  const master = await group.master()
  const proxy = await startTcpProxy(master.port)
  cleanups.push(proxy.close)
  const detours = { [`127.0.0.1:${master.port}`]: { host: '127.0.0.1', port: proxy.port } }
  const { client, ready, close } = sentinelClients[name]!(sentinelPorts(), detours)
  cleanups.push(close)
  await ready()
  const app = await startApp(redis({ client }), { backendTimeout: 5000 })
  cleanups.push(app.close)
  const direct = await startApp(redis({ host: '127.0.0.1', port: master.port }), { backendTimeout })
  cleanups.push(direct.close)
  const { response, visits } = await overtake(app, direct, proxy)
  // Whether theirs was built on ours can't be known: doing ours again might do it twice.
  expectUnavailable(response)
  expect(visits).toEqual(['first', 'ours', 'theirs'])
})

describe('a failover under load, with the Sentinel clients of all packages,', () => {
  async function start(): Promise<{ app: App; load: Load }[]> {
    await group.untilWell()
    return Promise.all(
      names.map(async (name) => {
        const { client, close } = await openClient(name)
        cleanups.push(close)
        const app = await startApp(redis({ client, waitForReplicas: 2 }), { backendTimeout })
        cleanups.push(app.close)
        const load = new Load(app, await regularVisitor(app))
        load.start({ tabs: 3, newcomers: 1 })
        await load.until(() => load.acknowledged.length >= 30)
        return { app, load }
      }),
    )
  }

  /** In words, what should not have been, up to some time after the failover. */
  async function faultsOf(loads: { app: App; load: Load }[]): Promise<string[]> {
    const faults = loads.map(async ({ app, load }) => {
      const before = load.acknowledged.length
      await load.until(() => load.acknowledged.length >= before + 30)
      await load.stop()
      const others = [...app.codes].filter((code) => code !== 'ERR_BACKEND')
      const longest = app.longestStep()
      return [
        ...(await load.faults()),
        ...others.map((code) => `an error was ${code}`),
        ...(longest < backendTimeout + slack ? [] : [`a step took ${longest} ms`]),
      ]
    })
    return (await Promise.all(faults)).flat()
  }

  test('because the master crashes loses nothing that the replicas have confirmed', async () => {
    const loads = await start()
    const old = await group.master()
    await old.kill9()
    await Promise.all(loads.map(({ load }) => load.until(() => load.failed.length >= 8)))
    await group.untilReplaced(old)
    // Sooner it would still be the master, of nothing: it has kept nothing on disk, and the replicas would follow.
    await old.restart()
    await group.untilWell()
    expect(await faultsOf(loads)).toEqual([])
  })

  test('that was planned loses nothing that the replicas have confirmed', async () => {
    const loads = await start()
    const old = await group.master()
    await group.sentinels[0]!.command('SENTINEL', 'FAILOVER', masterName)
    await group.untilReplaced(old)
    await group.untilWell()
    expect(await faultsOf(loads)).toEqual([])
  })
})
