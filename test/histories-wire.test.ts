import { afterAll, beforeAll, describe, test } from 'vitest'
import { memcacheClient } from '../src/backends/memcache-client.js'
import { memcached } from '../src/backends/memcached.js'
import { redis } from '../src/backends/redis.js'
import { vishnuPython } from '../src/dialects/vishnu-python.js'
import type { Backend, DialectFactory, PlainBackend, Session, Sessions } from '../src/index.js'
import { type BackendCall, forwardTo } from '../src/testing/forwarding-backend.js'
import { manualClock } from './helpers/clock.js'
import { begin, endingOf, newVisitor, request, startServer, valuesOf } from './helpers/contract-requests.js'
import { startMemcached } from './helpers/memcached-server.js'
import { startRedis } from './helpers/redis-server.js'
import { disturbances, startTcpProxy } from './helpers/tcp-proxy.js'

// Every operation of real servers under everything that a connection can do. Histories meet these at random; here none is missed.

type Store = Backend | PlainBackend
type Operation = BackendCall['operation']

interface Kind {
  readonly name: string
  readonly start: () => Promise<{ port: number; stop: () => Promise<void> }>
  readonly open: (at: { host: string; port: number }) => Store
  readonly dialect?: DialectFactory
}

const kinds: readonly Kind[] = [
  { name: 'Redis', start: () => startRedis(), open: (at) => redis(at) },
  { name: 'Memcached', start: () => startMemcached(), open: (at) => memcached(at) },
  { name: 'Memcached, with memcache-client', start: () => startMemcached(), open: (at) => memcacheClient(at) },
  {
    name: 'Redis, shared with Python',
    start: () => startRedis(),
    open: (at) => redis({ ...at, layout: 'plain' }),
    dialect: vishnuPython(),
  },
  {
    name: 'Memcached, shared with Python',
    start: () => startMemcached(),
    open: (at) => memcached({ ...at, layout: 'plain' }),
    dialect: vishnuPython(),
  },
]

const count = (session: Session): Promise<unknown> => session.update('count', (n = 0) => (n as number) + 1)

interface Work {
  readonly work: (session: Session) => unknown
  readonly isFirst?: boolean
  /** What the visitor's count, of 1, may be after it; last if it has succeeded. */
  readonly counts: readonly number[]
}

/** What asks the store for each operation. */
const works: Record<Operation, Work> = {
  read: { work: () => undefined, counts: [1] },
  create: { work: count, isFirst: true, counts: [1] },
  replace: { work: count, counts: [1, 2] },
  touch: { work: () => undefined, counts: [1] },
  delete: { work: (session) => session.terminate(), counts: [1, 0] },
}

describe.each(kinds)('on $name, when a connection', ({ start, open, dialect }) => {
  let server: Awaited<ReturnType<Kind['start']>>
  beforeAll(async () => {
    server = await start()
  })
  afterAll(() => server.stop())

  const operations: Operation[] = ['read', 'create', 'replace', dialect ? 'delete' : 'touch']
  const cells = disturbances.flatMap((how) => operations.map((operation) => ({ how, operation })))

  for (const { how, operation } of cells) {
    test.concurrent(
      `${how}, in a ${operation}: the outcome is whole, told rightly, and requests succeed again`,
      async ({ expect, onTestFinished }) => {
        const proxy = await startTcpProxy(server.port)
        onTestFinished(proxy.close)
        const clock = manualClock()
        const connect = (port: number): Store => {
          const store = open({ host: '127.0.0.1', port })
          onTestFinished(() => store.close?.())
          return store
        }
        const serve = (backend: Store, backendTimeout = 20_000): Sessions => {
          const options = { autoSave: true, touchInterval: 0, clock: clock.now, backendTimeout }
          return startServer(backend, dialect ? { ...options, dialect } : options)
        }
        let isDue = false
        let disturbance: Promise<void> | undefined
        const wire = forwardTo(connect(proxy.port), (call, run) => {
          if (isDue && call.operation === operation) disturbance ??= proxy.disturb(how, /./s)
          return run()
        })
        const [direct, patient] = [serve(connect(server.port)), serve(wire)]
        const troubled = how.startsWith('stalls') ? serve(wire, 1_000) : patient

        /** On a busy machine a connection may take several attempts. */
        const untilDone = (work: () => unknown): Promise<void> =>
          expect.poll(() => endingOf(work), { timeout: 20_000 }).toBe('done')

        let cookie = ''
        await untilDone(async () => (cookie = await newVisitor(direct, { count: 1 })))
        // From now on the other is connected too, with its scripts loaded.
        await untilDone(async () => request(patient, await newVisitor(patient, { count: 0 }), count))
        clock.advance(5_000)

        const { work, isFirst, counts } = works[operation]
        let issued: string | undefined
        isDue = true
        const ending = await endingOf(async () => {
          const { session, respond } = await begin(troubled, isFirst ? undefined : cookie)
          await work(session)
          issued = (await respond()).cookie
        })
        expect(disturbance).toBeInstanceOf(Promise)
        await disturbance
        expect(['done', 'ERR_BACKEND']).toContain(ending)
        if (how === 'delays the reply') expect(ending).toBe('done')
        if (isFirst && ending === 'done') expect(await countOf(direct, issued)).toBe(1)
        const found = await countOf(direct, cookie)
        expect(ending === 'done' ? counts.slice(-1) : counts).toContain(found)

        // What was stalled may arrive now, on the connection that the next request uses; or that is still being made anew.
        proxy.heal()
        await untilDone(() => countOf(patient, cookie))
        const settled = await countOf(patient, cookie)
        expect(counts).toContain(settled)
        const { cookie: next = cookie } = await request(patient, cookie, count)
        expect(await countOf(direct, next)).toBe(settled + 1)
      },
    )
  }
})

async function countOf(sessions: Sessions, cookie: string | undefined): Promise<number> {
  return Number((await valuesOf(sessions, cookie))['count'] ?? 0)
}
