import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { memcached } from '../src/backends/memcached.js'
import { redis } from '../src/backends/redis.js'
import type { Backend } from '../src/index.js'
import { type BackendCall, forwardTo } from '../src/testing/forwarding-backend.js'
import { type HistoryOptions, runHistory } from '../src/testing/index.js'
import { startMemcached } from './helpers/memcached-server.js'
import { seededRandom } from './helpers/random.js'
import { startRedis } from './helpers/redis-server.js'
import { type Disturbance, disturbances, startTcpProxy, type TcpProxy } from './helpers/tcp-proxy.js'

// Real servers, killed and started again, and real connections, cut in the middle of a request or of its reply.

const operations = Number(process.env['HISTORY_OPERATIONS'] ?? 5_000)
const seed = Number(process.env['HISTORY_SEED'] ?? 1)
const timeout = 60_000 + operations * 30
const interrupted: HistoryOptions = { operations, seed, order: 'real', interrupted: true }

interface Server {
  readonly port: number
  readonly kill9: () => Promise<void>
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

interface Kind {
  readonly name: string
  readonly start: () => Promise<Server>
  readonly open: (address: { host: string; port: number }) => Backend
  /** Whether the server starts again empty. */
  readonly forgets: boolean
}

const kinds: readonly Kind[] = [
  { name: 'Redis', start: () => startRedis({ appendfsync: 'always' }), open: (at) => redis(at), forgets: false },
  { name: 'Memcached', start: () => startMemcached(), open: (at) => memcached(at), forgets: true },
]

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

describe.each(kinds)('on $name', { timeout }, ({ start, open, forgets }) => {
  const connectTo =
    (port: number): (() => Backend) =>
    () =>
      open({ host: '127.0.0.1', port })

  test('every promise is kept while the server is killed, in every operation, and started again, over and over', async () => {
    const server = await start()
    cleanups.push(server.stop)
    const killed: Operation[] = []
    let calls = 0
    let crash = Promise.resolve()
    const crashNow = async (): Promise<void> => {
      await server.kill9()
      await server.restart()
    }
    const connect = (): Backend =>
      forwardTo(connectTo(server.port)(), ({ operation }, run) => {
        const isDue = ++calls > CALLS_BETWEEN_KILLS && operation === OPERATIONS[killed.length % OPERATIONS.length]
        if (!isDue) return run()
        calls = 0
        killed.push(operation)
        const outcome = run()
        crash = crash.then(crashNow)
        return outcome
      })
    const report = await runHistory(connect, { ...interrupted, forgets })
    await crash
    expect(killed).toEqual(expect.arrayContaining([...OPERATIONS]))
    expect(report.outcomes.get('updates: done')).toBeGreaterThan(operations / 50)
  })

  test('every promise is kept while connections are lost, stall and come to life again, in every way', async () => {
    const server = await start()
    cleanups.push(server.stop)
    const proxy = await startTcpProxy(server.port)
    cleanups.push(proxy.close)
    let hasEnded = false
    const happened = disturbConnections(proxy, () => hasEnded)
    const report = await runHistory(connectTo(proxy.port), { ...interrupted, forgets: false })
    hasEnded = true
    expect(new Set(happened)).toEqual(new Set(disturbances))
    expect(happened.length).toBeGreaterThan(operations / 1000)
    expect(report.outcomes.get('updates: done')).toBeGreaterThan(operations / 50)
  })
})

const CALLS_BETWEEN_KILLS = 500
const OPERATIONS = ['read', 'create', 'replace', 'touch'] as const
type Operation = BackendCall['operation']

/** Disturbs one connection after the other; what has happened is in the list. */
function disturbConnections(proxy: TcpProxy, hasEnded: () => boolean): Disturbance[] {
  const random = seededRandom(seed)
  const draw = (): number => random(1)[0] ?? 0
  const happened: Disturbance[] = []
  const disturb = async (): Promise<void> => {
    while (!hasEnded()) {
      const how = disturbances[happened.length % disturbances.length] ?? disturbances[0]
      await proxy.disturb(how, /./s, { skip: draw() })
      happened.push(how)
      // Longer than a request waits for the store, now and then.
      if (how.startsWith('stalls')) await sleep(draw())
      proxy.heal()
    }
  }
  void disturb()
  return happened
}
