import { afterEach, describe, expect, test } from 'vitest'
import { memcached } from '../src/backends/memcached.js'
import { redis } from '../src/backends/redis.js'
import type { Backend } from '../src/index.js'
import { type HistoryOptions, runHistory } from '../src/testing/index.js'
import { wrapBackend } from './helpers/contract-backends.js'
import { startMemcached } from './helpers/memcached-server.js'
import { seededRandom } from './helpers/random.js'
import { startRedis } from './helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from './helpers/tcp-proxy.js'

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

  test('every promise is kept while the server is killed and started again, over and over', async () => {
    const server = await start()
    cleanups.push(server.stop)
    let calls = 0
    let kills = 0
    let crash = Promise.resolve()
    const crashNow = async (): Promise<void> => {
      await server.kill9()
      await server.restart()
      kills++
    }
    const connect = (): Backend => {
      const backend = connectTo(server.port)()
      const watched = wrapBackend(backend, ({ run }) => {
        if (++calls % CALLS_BETWEEN_KILLS === 0) crash = crash.then(crashNow)
        return run()
      })
      return { ...watched, close: async () => backend.close?.() }
    }
    const report = await runHistory(connect, { ...interrupted, forgets })
    await crash
    expect(kills).toBeGreaterThan(0)
    expect(report.outcomes.get('updates: done')).toBeGreaterThan(operations / 50)
  })

  test('every promise is kept while connections are lost, before and after the server has done its part', async () => {
    const server = await start()
    cleanups.push(server.stop)
    const proxy = await startTcpProxy(server.port)
    cleanups.push(proxy.close)
    let hasEnded = false
    const cuts = cutConnections(proxy, () => hasEnded)
    const report = await runHistory(connectTo(proxy.port), { ...interrupted, forgets: false })
    hasEnded = true
    expect(cuts()).toBeGreaterThan(operations / 1000)
    expect(report.outcomes.get('updates: done')).toBeGreaterThan(operations / 50)
  })
})

const CALLS_BETWEEN_KILLS = 1000

/** Cuts one connection after the other; tells how many. */
function cutConnections(proxy: TcpProxy, hasEnded: () => boolean): () => number {
  const random = seededRandom(seed)
  const draw = (): number => random(1)[0] ?? 0
  let cuts = 0
  const cut = async (): Promise<void> => {
    while (!hasEnded()) {
      await proxy.lose(draw() % 2 === 0 ? 'request' : 'reply', /./s, { skip: draw() })
      cuts++
    }
  }
  void cut()
  return () => cuts
}
