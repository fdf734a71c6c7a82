import { deflateSync, inflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { appEngineNdb } from '../../src/backends/app-engine-ndb.ts'
import { vishnuPython } from '../../src/dialects/vishnu-python.ts'
import { plainLaws } from '../../src/testing/plain-laws.ts'
import { pythonCookie } from '../helpers/python-sharing.ts'
import { World } from '../helpers/unit-world.ts'
import { emulatorNames } from './helpers/emulators.mjs'
import { startPython } from './helpers/python-ndb.mjs'
import { newNamespace, rawEntities, time } from './helpers/raw-entities.mjs'

const DAY = 86_400_000
const ID = '0123456789abcdef0123456789abcdef'
/** `{"user": "anna"}`, pickled by Python 3 with protocol 4. */
const PICKLE = Buffer.from('80049512000000000000007d948c0475736572948c04616e6e6194732e', 'hex')

/** Sessions on NDB's entities, in a namespace of their own. */
function start(name, options = {}, namespace = newNamespace()) {
  const host = inject('hosts')[name]
  const backend = appEngineNdb({ projectId: 'test', namespace, apiEndpoint: host, timeout: 30_000 })
  const raw = rawEntities(host, 'VishnuSession', namespace)
  const dialect = vishnuPython({ format: 'ndb' })
  const world = new World({ dialect, backend, autoSave: true, backendTimeout: 30_000, ...options })
  closers.push(backend, raw)
  return { world, raw, backend, now: world.clock.now() }
}

const closers = []
afterAll(() => Promise.all(closers.map((one) => one.close())))

/** A visitor with the cookie that Python has sent. */
function visitorOf(world, id = ID) {
  const visitor = world.visitor()
  visitor.store(`vishnu=${pythonCookie(id)}; Path=/; Secure`)
  return visitor
}

/** What Python's NDB stores. */
function entity({ expires = null, lastAccessed, pickle = PICKLE }) {
  return {
    expires: time(expires),
    last_accessed: time(lastAccessed),
    data: { blobValue: deflateSync(pickle), meaning: 22, excludeFromIndexes: true },
  }
}

describe.skipIf(inject('sdk').missing)('appEngineNdb() on', () => {
  describe.each(emulatorNames)('%s', (name) => {
    // The laws are about bytes, which are an entity's data here; its times go in front.
    const TIMES = Buffer.from('{"expires":1700000000000,"last_accessed":null}\n')
    const open = () => {
      const backend = appEngineNdb({ projectId: 'test', apiEndpoint: inject('hosts')[name], timeout: 30_000 })
      const withTimes = (value) => Buffer.concat([TIMES, value])
      const data = (outcome) => outcome?.value && { ...outcome, value: outcome.value.subarray(TIMES.length) }
      return {
        layout: 'plain',
        maxBytes: backend.maxBytes - TIMES.length,
        list: (cursor) => backend.list(cursor),
        read: async (key) => data(await backend.read(key)),
        create: async (key, value, ...rest) => {
          const outcome = await backend.create(key, withTimes(value), ...rest)
          return data(outcome) ?? outcome
        },
        replace: async (key, entry, value, ...rest) => {
          const outcome = await backend.replace(key, entry, withTimes(value), ...rest)
          return data(outcome) ?? outcome
        },
        delete: (key, entry) => backend.delete(key, entry),
        close: () => backend.close(),
      }
    }
    let raw
    beforeAll(() => {
      raw = rawEntities(inject('hosts')[name], 'VishnuSession')
    })
    afterAll(() => raw?.close())
    const other = {
      write: (key, data) =>
        raw.put(key, {
          expires: time(1_700_000_000_000),
          last_accessed: time(null),
          data: { blobValue: data, meaning: 22, excludeFromIndexes: true },
        }),
      read: async (key) => (await raw.get(key))?.data.blobValue,
    }
    test.concurrent.each(plainLaws(open, other))('$name', async ({ check }) => {
      expect(await check()).toBeUndefined()
    })

    test("Python's session is read, changed and ended", async () => {
      const { world, raw: stored, now } = start(name)
      await stored.put(ID, entity({ expires: now + DAY, lastAccessed: now }))
      const visitor = visitorOf(world)
      expect(await visitor.read('user')).toBe('anna')
      await visitor.request((session) => session.set('color', 'red'))
      expect(await visitorOf(world).read('color')).toBe('red')
      expect(await visitorOf(world).read('user')).toBe('anna')
      await visitor.request((session) => session.terminate())
      expect(await stored.names()).toEqual([])
    })

    test('a new session is the entity that Python writes: kind, key, columns, meaning, indexes', async () => {
      const { world, raw: stored, now } = start(name, { timeout: 3600 })
      await world.visitorWith({ user: 'anna' })
      const [id, ...others] = await stored.names()
      expect([id, others]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), []])
      const { data, ...columns } = await stored.get(id)
      const at = (milliseconds) => ({ timestampValue: { seconds: String(milliseconds / 1000), nanos: 0 } })
      expect(columns).toMatchObject({
        expires: { ...at(now + 3_600_000), excludeFromIndexes: false },
        last_accessed: { ...at(now), excludeFromIndexes: false },
      })
      expect(Object.keys(columns)).toHaveLength(2)
      expect(data).toMatchObject({ meaning: 22, excludeFromIndexes: true })
      expect(inflateSync(data.blobValue).toString('latin1')).toContain('anna')
    })

    test('trap 1: a session without an end has null there, and no clean-up takes that for an end', async () => {
      const { world, raw: stored, now } = start(name)
      await world.visitorWith({ user: 'anna' })
      const [id] = await stored.names()
      expect(await stored.get(id)).toMatchObject({ expires: { nullValue: 'NULL_VALUE', excludeFromIndexes: false } })
      const kept = [id, 'not used for less than a day', 'ends in a millisecond', 'never used']
      await stored.put(kept[1], entity({ lastAccessed: now - DAY }))
      await stored.put(kept[2], entity({ expires: now + 1, lastAccessed: now - 9 * DAY }))
      await stored.put(kept[3], entity({ lastAccessed: null }))
      await stored.put('ends now', entity({ expires: now, lastAccessed: now }))
      await stored.put('ended long ago', entity({ expires: now - 99 * DAY, lastAccessed: now - 99 * DAY }))
      await stored.put('not used for more than a day', entity({ lastAccessed: now - DAY - 1 }))
      expect(await world.sessions.deleteExpiredSessions()).toBe(true)
      expect(new Set(await stored.names())).toEqual(new Set(kept))
    })

    test('trap 1: a clean-up asks for what may be over and nothing else, page by page to the end', async () => {
      const { raw: stored, backend, now } = start(name)
      const ended = Array.from({ length: 1001 }, (_, index) => `ended ${index}`)
      const dormant = ['dormant 1', 'dormant 2']
      await stored.putAll(ended, entity({ expires: now, lastAccessed: now }))
      await stored.putAll(dormant, entity({ lastAccessed: now - 9 * DAY }))
      await stored.put('live', entity({ expires: now + 1, lastAccessed: now - 9 * DAY }))
      await stored.put('endless', entity({ lastAccessed: now }))
      const pages = []
      for (let cursor; pages.length === 0 || cursor !== undefined;) {
        const page = await backend.list(cursor, { now, dormantBefore: now - DAY })
        pages.push(page.keys)
        cursor = page.cursor
      }
      expect(pages.flat().toSorted()).toEqual([...ended, ...dormant].toSorted())
      expect(Math.max(...pages.map(({ length }) => length))).toBeLessThanOrEqual(500)
    })

    test('a session that is renewed between the query and the removal stays', async () => {
      const { world, raw: stored, backend, now } = start(name)
      await stored.put(ID, entity({ expires: now, lastAccessed: now - DAY }))
      const { keys } = await backend.list(undefined, { now, dormantBefore: 0 })
      expect(keys).toEqual([ID])
      const seen = await backend.read(ID)
      await stored.put(ID, entity({ expires: now + DAY, lastAccessed: now }))
      expect(await backend.delete(ID, seen)).toBe('conflict')
      expect(await visitorOf(world).read('user')).toBe('anna')
    })

    test('trap 3: the data is compressed at the level that Cloud NDB recognises, however long it is', async () => {
      const { world, raw: stored } = start(name)
      await world.visitorWith({ text: 'x' })
      await world.visitorWith({ text: 'x'.repeat(100_000) })
      for (const id of await stored.names()) {
        expect((await stored.get(id)).data.blobValue.subarray(0, 2).toString('hex')).toBe('789c')
      }
    })

    test('what Python writes between our look and our write is not lost', async () => {
      const { world, raw: stored, backend, now } = start(name)
      await stored.put(ID, entity({ expires: now + DAY, lastAccessed: now }))
      const replace = backend.replace.bind(backend)
      let isOvertaken = false
      backend.replace = async (...args) => {
        if (!isOvertaken) await stored.put(ID, entity({ expires: now + 2 * DAY, lastAccessed: now }))
        isOvertaken = true
        return replace(...args)
      }
      await visitorOf(world).request((session) => session.update('count', (count = 0) => count + 1))
      expect(await visitorOf(world).read('count')).toBe(1)
      expect(world.eventTypes()).toContain('conflict')
    })

    test('what an entity has no column for is kept, before the pickle: a timeout, and the stamp of our last write', async () => {
      const { world, raw: stored } = start(name, { timeout: 60 })
      const visitor = await world.visitorWith({ user: 'anna' })
      await visitor.request((session) => (session.timeout = 900))
      await visitor.request((session) => expect(session.timeout).toBe(900))
      const [id] = await stored.names()
      expect(inflateSync((await stored.get(id)).data.blobValue).toString('latin1')).toMatch(/vishnu [\w-]{16} 900;/)
    })

    test('an entity that is no session is left as it is, and its visitor counts as new', async () => {
      const { world, raw: stored, now } = start(name)
      const others = {
        [ID]: { ...entity({ lastAccessed: now }), data: { stringValue: 'text' } },
        ['f'.repeat(32)]: entity({ lastAccessed: now, pickle: Buffer.from('not a pickle') }),
      }
      for (const [id, properties] of Object.entries(others)) {
        await stored.put(id, properties)
        const before = await stored.get(id)
        await visitorOf(world, id).request((session) => expect(session.started).toBe(false))
        expect(await stored.get(id)).toEqual(before)
      }
      expect(world.eventTypes()).toEqual(['corrupt', 'corrupt'])
    })
  })

  describe('the Datastore emulator, shared with NDB in Python,', () => {
    const [name] = emulatorNames
    let python
    beforeAll(async () => {
      python = await startPython(inject('sdk'), inject('hosts')[name])
    })
    afterAll(() => python?.stop())
    const shared = (options) => start(name, options, '')

    test('sessions that Python has written are read, and those that we write Python reads', async () => {
      const { world, now } = shared({ timeout: 60 })
      const data = `{"user": "anna", "n": 1.5, "when": datetime.datetime(2026, 1, 2), "none": None}`
      await python.ask({ do: 'set', sid: ID, data, now: now / 1000, expires: now / 1000 + 60 })
      const visitor = visitorOf(world)
      await visitor.request((session) => {
        expect(Object.fromEntries(session.entries())).toMatchObject({ user: 'anna', n: 1.5, none: null })
        session.set('list', [1, 'zwei', null, true])
      })
      const { data: seen, ...times } = await python.ask({ do: 'get', sid: ID, memcache: false })
      expect(seen).toContain("'list': [1, 'zwei', None, True]")
      expect(seen).toContain("'when': datetime.datetime(2026, 1, 2, 0, 0)")
      expect(times).toEqual({ expires: '2026-01-01 00:01:00', last_accessed: '2026-01-01 00:00:00' })
    })

    test('trap 2: a session of ours has the meaning 22, without which Python can not read it', async () => {
      const { world, raw } = shared()
      const before = await raw.names()
      await world.visitorWith({ user: 'anna' })
      const [id] = (await raw.names()).filter((one) => !before.includes(one))
      const question = { do: 'get', sid: id, memcache: false }
      expect((await python.ask(question)).data).toBe("{'user': 'anna'}")
      const properties = await raw.get(id)
      await raw.put(id, { ...properties, data: { ...properties.data, meaning: 0 } })
      await expect(python.ask(question)).rejects.toThrow('UnpicklingError')
    })

    test("trap 4: Python's NDB takes the session from memcache, as it was, until it is told not to", async () => {
      const { world, now } = shared()
      const id = 'a'.repeat(32)
      await python.ask({ do: 'set', sid: id, data: '{"user": "anna"}', expires: now / 1000 + 60, now: now / 1000 })
      const ask = async (memcache) => (await python.ask({ do: 'get', sid: id, memcache })).data
      expect(await ask(true)).toBe("{'user': 'anna'}")
      await visitorOf(world, id).request((session) => session.set('user', 'otto'))
      expect(await ask(true)).toBe("{'user': 'anna'}")
      expect(await ask(false)).toBe("{'user': 'otto'}")
    })

    test('a session that ends here is gone for Python, and one that Python ends is gone here', async () => {
      const { world, raw, now } = shared()
      const id = 'b'.repeat(32)
      const visitor = visitorOf(world, id)
      const [sid, expires] = [id, now / 1000 + 60]
      await python.ask({ do: 'set', sid, data: '{"user": "anna"}', expires, now: now / 1000, memcache: false })
      await visitor.request((session) => session.terminate())
      expect(await python.ask({ do: 'get', sid, memcache: false })).toBe(null)
      await python.ask({ do: 'set', sid, data: '{"user": "anna"}', expires, now: now / 1000, memcache: false })
      await raw.remove(id)
      expect(await visitorOf(world, id).read('user')).toBe(undefined)
    })
  })
})
