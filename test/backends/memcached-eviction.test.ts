import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Backend, Entry } from '../../src/backend.js'
import { memory } from '../../src/backends/memory.js'
import { type BackendLaw, backendLaws } from '../../src/testing/backend-laws.js'
import { recordingBackend, wrapBackend } from '../helpers/contract-backends.js'
import { begin, endingOf, newVisitor, request, startServer, valuesOf } from '../helpers/contract-requests.js'
import { evict, statistic } from '../helpers/memcached-inspect.js'
import { startMemcached, type MemcachedServer } from '../helpers/memcached-server.js'
import { memcachedWays } from '../helpers/memcached-ways.js'

// The one promise that Memcached can't keep: that a session lasts until its deadline.

const evictionLaws = (open: () => Backend, evictKey: (key: string) => Promise<void>): BackendLaw[] =>
  backendLaws(open, { evict: evictKey }).filter(({ name }) => name.includes('evict'))

describe.each(memcachedWays)('with $name and a memcached that is full', ({ open }) => {
  let server: MemcachedServer
  beforeAll(async () => {
    server = await startMemcached({ args: ['-m', '2'] })
  })
  afterAll(() => server.stop())

  const connect = (): Backend => open({ host: server.host, port: server.port })
  const evictEntry = (key: string): Promise<void> => evict(server, `vishnu:${key}`)

  test.each(
    evictionLaws(
      () => connect(),
      (key) => evictEntry(key),
    ).map(({ name, check }) => [name, check] as const),
  )('%s', async (_, check) => {
    const before = await statistic(server, 'evictions')
    expect(await check()).toBeUndefined()
    expect(await statistic(server, 'evictions')).toBeGreaterThan(before)
  })

  describe('a visitor', () => {
    let backend: Backend
    let keys: () => string[]
    beforeEach(() => {
      const recording = recordingBackend(connect())
      backend = recording.backend
      keys = () => [...new Set(recording.calls.map(({ key }) => key))]
    })
    afterEach(() => backend.close?.())

    test('whose session was evicted is anonymous, without an error, and can begin anew', async () => {
      const events: string[] = []
      const sessions = startServer(backend, { autoSave: true, onEvent: ({ type }) => void events.push(type) })
      const cookie = await newVisitor(sessions, { user: 'ann' })
      for (const key of keys()) await evictEntry(key)

      const { setCookies } = await request(sessions, cookie, (session) => {
        expect(session.started).toBe(false)
        expect(session.get('user')).toBeUndefined()
      })
      expect(setCookies).toEqual([])
      expect(events).toEqual([])
      const again = await request(sessions, cookie, (session) => session.set('user', 'ann again'))
      expect(await valuesOf(sessions, again.cookie)).toEqual({ user: 'ann again' })
      expect(await valuesOf(sessions, cookie)).toEqual({})
    })

    test.each(['save', 'update', 'commit', 'touch', 'regenerate'])(
      'whose tombstone was evicted stays logged out, whatever a straggler does: %s',
      async (kind) => {
        const sessions = startServer(backend, { autoSave: true, touchInterval: 0, clock: clockAhead() })
        const cookie = await newVisitor(sessions, { user: 'ann' })
        const straggler = await begin(sessions, cookie)
        await request(sessions, cookie, (session) => session.terminate())
        const own = keys()
        for (const key of own) await evictEntry(key)

        const { session } = straggler
        if (kind !== 'touch') session.set('user', 'ann again')
        if (kind === 'regenerate') session.regenerate()
        const ending = await endingOf(() =>
          kind === 'save' ? session.save() : kind === 'update' ? session.update('n', () => 'new') : undefined,
        )
        expect(ending).toBe(kind === 'save' || kind === 'update' ? 'ERR_SESSION_GONE' : 'done')
        const answer = await straggler.respond()
        expect(answer.setCookies).toEqual([])
        expect(await valuesOf(sessions, cookie)).toEqual({})
        for (const key of own) expect(await backend.read(key, Date.now())).toBeUndefined()
      },
    )

    test('among more than fit finds what is theirs, or nothing', async () => {
      const sessions = startServer(backend)
      const before = await statistic(server, 'evictions')
      const cookies: string[] = []
      for (let group = 0; group < 20; group++) {
        const names = Array.from({ length: 50 }, (_, index) => `visitor ${group * 50 + index}`)
        cookies.push(
          ...(await Promise.all(names.map((name) => newVisitor(sessions, { name, text: 'x'.repeat(8000) })))),
        )
      }
      expect(await statistic(server, 'evictions')).toBeGreaterThan(before)
      const found = await Promise.all(cookies.map(async (cookie) => (await valuesOf(sessions, cookie))['name']))
      const kept = found.filter((name) => name !== undefined)
      expect(kept).toEqual(found.flatMap((name, index) => (name === undefined ? [] : [`visitor ${index}`])))
      expect(kept.length).toBeGreaterThan(0)
      expect(kept.length).toBeLessThan(cookies.length)
    })
  })
})

describe('the laws of eviction', () => {
  const values = new Map<string, Uint8Array>()
  const flaws: Record<string, (real: Backend) => Partial<Backend>> = {
    'creates where it should replace': (real) => ({
      replace: async (key, entry, ...rest) => {
        const outcome = await real.replace(key, entry, ...rest)
        return outcome === 'gone' ? ((await real.create(key, ...rest)) as Entry) : outcome
      },
    }),
    'replaces whatever the version': (real) => ({
      replace: async (key, entry, value, end, now) =>
        real.replace(key, (await real.read(key, now)) ?? entry, value, end, now),
    }),
    "answers with another's data": (real) => ({
      create: async (key, value, ...rest) => {
        values.set(key, value)
        return real.create(key, value, ...rest)
      },
      read: async (key, now) => {
        const entry = await real.read(key, now)
        const [other] = [...values].filter(([candidate]) => candidate !== key).map(([, value]) => value)
        return entry && { ...entry, value: other ?? entry.value }
      },
    }),
  }

  /** The laws that a backend with this flaw breaks. */
  async function brokenBy(flaw: (real: Backend) => Partial<Backend>): Promise<string[]> {
    const real = memory()
    const backend = { ...wrapBackend(real, ({ run }) => run()), ...flaw(real) }
    const laws = evictionLaws(
      () => backend,
      (key) => real.delete(key),
    )
    const outcomes = await Promise.allSettled(laws.map(({ check }) => check()))
    return laws.filter((_, index) => outcomes[index]?.status === 'rejected').map(({ name }) => name)
  }

  test('hold for a backend that keeps them', async () => {
    expect(await brokenBy(() => ({}))).toEqual([])
  })

  test('notice each flaw, and each law notices one', async () => {
    const broken = await Promise.all(Object.values(flaws).map(brokenBy))
    expect(broken).not.toContainEqual([])
    const names = evictionLaws(memory, async () => undefined).map(({ name }) => name)
    expect(names).toHaveLength(3)
    expect(new Set(broken.flat())).toEqual(new Set(names))
  })
})

/** A clock on which every request finds a touch due. */
function clockAhead(): () => number {
  let ahead = 0
  return () => Date.now() + ahead++ * 100
}
