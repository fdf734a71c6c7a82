import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Backend, Entry } from '../../src/backend.js'
import { createSessions } from '../../src/sessions.js'
import { manualClock } from '../helpers/clock.js'
import { newVisitor, startServer, valuesOf } from '../helpers/contract-requests.js'
import { lawsOf } from '../helpers/laws.js'
import { commandsDuring, statistic, storedText, timeToLive } from '../helpers/memcached-inspect.js'
import { startMemcached, type MemcachedServer } from '../helpers/memcached-server.js'
import { memcachedWays } from '../helpers/memcached-ways.js'
import { startTcpProxy } from '../helpers/tcp-proxy.js'

const now = Date.UTC(2026, 0, 1)
const [SECOND, HOUR, DAY] = [1000, 3_600_000, 86_400_000]
const deadline = now + HOUR
const value = Buffer.from('a value')

const newKey = (): string => randomBytes(32).toString('base64url')

let servers: MemcachedServer[]
let server: MemcachedServer
beforeAll(async () => {
  servers = await Promise.all([startMemcached(), startMemcached(), startMemcached()])
  server = servers[0] as MemcachedServer
})
afterAll(() => Promise.all(servers.map((one) => one.stop())))

const addresses = (): { host: string; port: number }[] => servers.map(({ host, port }) => ({ host, port }))

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

function closedAfterwards(backend: Backend): Backend {
  cleanups.push(() => backend.close?.())
  return backend
}

describe.each(memcachedWays)('$name', ({ open }) => {
  describe('keeps every law of backends on one server:', () => {
    const openOne = (): Backend => open({ host: server.host, port: server.port })
    test.each(lawsOf(openOne))('%s', async (_, check) => expect(await check()).toBeUndefined())
  })

  describe('keeps every law of backends on three servers, with a prefix:', () => {
    const openThree = (): Backend => open({ servers: addresses(), prefix: 'shop:{sessions}:' })
    test.each(lawsOf(openThree))('%s', async (_, check) => expect(await check()).toBeUndefined())
  })

  let backend: Backend
  beforeEach(() => {
    backend = closedAfterwards(open({ host: server.host, port: server.port }))
  })

  /** Stores an entry that is known to be written. */
  async function created(key: string, bytes = value, end = deadline, at = now): Promise<Entry> {
    const entry = await backend.create(key, bytes, end, at)
    expect(entry).toBeTypeOf('object')
    return entry as Entry
  }

  describe('writes', () => {
    test('a token of 22 characters, the deadline in 13 digits, a line end and the value', async () => {
      const key = newKey()
      const entry = await created(key)
      const text = (await storedText(server, `vishnu:${key}`)) ?? ''
      expect(text).toMatch(/^[\w-]{22}\d{13}\na value$/)
      expect(text.slice(22)).toBe(`${deadline}\na value`)

      await backend.touch(key, entry, deadline + 5, now)
      expect(await storedText(server, `vishnu:${key}`)).toBe(`${text.slice(0, 22)}${deadline + 5}\na value`)

      expect(await backend.replace(key, entry, Buffer.from('new'), 7_000, 6_000)).toBeTypeOf('object')
      expect(await storedText(server, `vishnu:${key}`)).toMatch(/^[\w-]{22}0000000007000\nnew$/)
      expect(await storedText(server, `vishnu:${key}`)).not.toContain(text.slice(0, 22))
    })

    test('with one command what was read, and reads with one', async () => {
      const key = newKey()
      expect(await commandsDuring(server, () => created(key))).toEqual({ gets: 0, sets: 1 })
      expect(await commandsDuring(server, () => backend.read(key, now))).toEqual({ gets: 1, sets: 0 })
      const entry = (await backend.read(key, now)) as Entry
      const replace = (): Promise<unknown> => backend.replace(key, entry, value, deadline, now)
      expect(await commandsDuring(server, replace)).toEqual({ gets: 0, sets: 1 })
    })

    test('each key to the server that the other client would look for it on', async () => {
      const spread = closedAfterwards(open({ servers: addresses() }))
      const others = memcachedWays.map((way) => closedAfterwards(way.open({ servers: addresses().toReversed() })))
      const keys = Array.from({ length: 60 }, newKey)
      for (const key of keys) await spread.create(key, value, deadline, now)
      for (const other of others) {
        for (const key of keys) {
          const entry = (await other.read(key, now)) as Entry
          expect(await other.replace(key, entry, randomBytes(50), deadline, now)).toBeTypeOf('object')
        }
      }
      for (const { command } of servers) {
        const found = await Promise.all(keys.map((key) => command(`mg vishnu:${key}`)))
        expect(new Set(found)).toEqual(new Set(['HD\r\n', 'EN\r\n']))
      }
    })

    test('nothing, and connects to nothing, until it is asked to', async () => {
      const before = await statistic(server, 'total_connections')
      const unused = open({ host: server.host, port: server.port })
      // Each question is a connection of its own.
      expect(await statistic(server, 'total_connections')).toBe(before + 1)
      await unused.close?.()
      expect(await statistic(server, 'total_connections')).toBe(before + 2)
    })
  })

  describe('among requests that touch', () => {
    test('replaces what was touched since it was read, as often as that may be', async () => {
      const key = newKey()
      await created(key)
      const entry = (await backend.read(key, now)) as Entry
      const touches = Array.from({ length: 30 }, (_, index) => backend.touch(key, entry, deadline + index, now))
      const replaced = backend.replace(key, entry, Buffer.from('new'), deadline, now)
      const more = Array.from({ length: 30 }, (_, index) => backend.touch(key, entry, deadline + index, now))
      expect(await replaced).toBeTypeOf('object')
      expect(await backend.read(key, now)).toMatchObject({ value: Buffer.from('new'), deadline })
      for (const outcome of await Promise.all([...touches, ...more])) expect(['touched', 'conflict']).toContain(outcome)
    })

    test('lets all of many that touch at once succeed', async () => {
      const key = newKey()
      const entry = await created(key)
      const touches = Array.from({ length: 50 }, (_, index) => backend.touch(key, entry, deadline + index, now))
      expect(new Set(await Promise.all(touches))).toEqual(new Set(['touched']))
      const found = (await backend.read(key, now)) as Entry
      expect(found.deadline).toBeGreaterThanOrEqual(deadline)
      expect(found.deadline).toBeLessThan(deadline + 50)
    })
  })

  describe('with a write that is held up on its way', () => {
    async function heldUp(): Promise<{ slow: Backend; release: () => void }> {
      const proxy = await startTcpProxy(server.port)
      cleanups.push(proxy.close)
      proxy.hold()
      return { slow: closedAfterwards(open({ host: '127.0.0.1', port: proxy.port })), release: proxy.release }
    }

    test('lets a delete win', async () => {
      const key = newKey()
      const entry = await created(key)
      const { slow, release } = await heldUp()
      const late = slow.replace(key, entry, Buffer.from('late'), deadline, now)
      await backend.delete(key)
      release()
      expect(await late).toBe('gone')
      expect(await storedText(server, `vishnu:${key}`)).toBeUndefined()
    })

    test('lets a tombstone win', async () => {
      const key = newKey()
      const entry = await created(key)
      const { slow, release } = await heldUp()
      const late = [
        slow.replace(key, entry, Buffer.from('late'), deadline, now),
        slow.touch(key, entry, deadline + HOUR, now),
      ]
      await backend.replace(key, entry, Buffer.from('tombstone'), deadline, now)
      release()
      expect(await Promise.all(late)).toEqual(['conflict', 'conflict'])
      expect(await backend.read(key, now)).toMatchObject({ value: Buffer.from('tombstone'), deadline })
    })
  })

  test('keeps what is stored at a touch, whatever the caller has made of it', async () => {
    const key = newKey()
    const entry = await created(key)
    expect(await backend.touch(key, { ...entry, value: Buffer.from('another') }, deadline + 1, now)).toBe('touched')
    expect(await backend.read(key, now)).toMatchObject({ value, deadline: deadline + 1 })
  })

  describe('has Memcached drop an entry', () => {
    test('a minute after its deadline, whatever the clocks say', async () => {
      const key = newKey()
      const expectTimeToLive = async (seconds: number): Promise<void> => {
        const left = await timeToLive(server, `vishnu:${key}`)
        expect(left).toBeLessThanOrEqual(seconds)
        expect(left).toBeGreaterThan(seconds - 20)
      }
      const entry = await created(key, value, now + 100 * SECOND)
      await expectTimeToLive(160)
      await backend.touch(key, entry, now + 500 * SECOND, now + 50 * SECOND)
      await expectTimeToLive(510)
      await backend.touch(key, entry, now + 100 * SECOND, now + 50 * SECOND)
      await expectTimeToLive(110)
      await backend.replace(key, entry, value, now + 1000 * SECOND, now)
      await expectTimeToLive(1060)
      await created(key, value, now + 3000 * SECOND, now + 1000 * SECOND)
      await expectTimeToLive(2060)
    })

    test('a day after its deadline, if that is beyond 30 days: such a date depends on the clocks', async () => {
      const key = newKey()
      await created(key, value, now + 31 * DAY)
      const left = await timeToLive(server, `vishnu:${key}`)
      // Memcached's clock is set once in a second.
      expect(Math.abs(left - (32 * DAY) / SECOND)).toBeLessThan(20)
    })

    test.each([
      ['30 days less a minute and a second', 30 * DAY - 61 * SECOND],
      ['30 days less a minute', 30 * DAY - 60 * SECOND],
      ['30 days less a minute, and a second', 30 * DAY - 59 * SECOND],
      ['30 days less a second', 30 * DAY - SECOND],
      ['30 days', 30 * DAY],
      ['30 days and a second', 30 * DAY + SECOND],
      ['a year', 365 * DAY],
      ['ten years', 3650 * DAY],
      ['a hundred years', 36_500 * DAY],
    ])('not before its deadline if that is in %s', async (_, lifetime) => {
      for (const start of [now, Date.UTC(2001, 0, 1), Date.UTC(2100, 0, 1)]) {
        const key = newKey()
        const entry = (await backend.create(key, value, start + HOUR, start)) as Entry
        expect(await backend.touch(key, entry, start + lifetime, start)).toBe('touched')
        const left = await timeToLive(server, `vishnu:${key}`)
        expect(left).toBeGreaterThanOrEqual(lifetime / SECOND)
      }
    })

    test('late enough for a session of 40 days', async () => {
      const clock = manualClock()
      const sessions = startServer(backend, { clock: clock.now, timeout: (40 * DAY) / SECOND })
      const cookie = await newVisitor(sessions, { user: 'ann' })
      clock.advance(39 * DAY)
      expect(await valuesOf(sessions, cookie)).toEqual({ user: 'ann' })
      clock.advance(DAY)
      expect(await valuesOf(sessions, cookie)).toEqual({})
    })
  })

  describe('given a key that is none', () => {
    const hostile = {
      'with a line end and a command': 'x\r\nflush_all\r\n',
      'with a bare line feed and a command': 'x\nflush_all\n',
      'with a bare carriage return': 'x\rflush_all\r',
      'with a space and another key': 'x canary',
      'with a tab': 'x\ty',
      'with a NUL': 'x\0y',
      'with a DEL': 'x\x7fy',
      'with a letter that is not ASCII': 'schlüssel',
      'that is empty but for a space': ' ',
      'of 251 bytes': 'k'.repeat(244),
    }

    test.each(Object.entries(hostile))('%s, does nothing but reject', async (_, key) => {
      const canary = newKey()
      const entry = await created(canary)
      const attempts = [
        backend.read(key, now),
        backend.create(key, value, deadline, now),
        backend.replace(key, entry, value, deadline, now),
        backend.touch(key, entry, deadline, now),
        backend.delete(key),
      ]
      for (const outcome of await Promise.allSettled(attempts)) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_BACKEND' } })
      }
      expect(await backend.read(canary, now)).toMatchObject({ value })
    })

    test('takes one of 250 bytes, with the prefix', async () => {
      const key = randomBytes(122).toString('hex').slice(0, 243)
      await created(key)
      expect(await backend.read(key, now)).toMatchObject({ value })
      await backend.delete(key)
      expect(await backend.read(key, now)).toBeUndefined()
    })
  })

  describe('given a value', () => {
    test.each([0, 1, 2])('of the greatest length less %i, keeps it to the byte', async (less) => {
      const bytes = randomBytes((backend.maxBytes ?? 0) - less)
      const key = newKey()
      const entry = await created(key, bytes)
      await backend.touch(key, entry, deadline + 1, now)
      expect(bytes.equals((await backend.read(key, now))?.value ?? Buffer.of())).toBe(true)
      await backend.delete(key)
    })

    test.each([1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1])('of %i bytes, refuses it', async (length) => {
      const key = newKey()
      const entry = await created(key)
      const attempts = [
        backend.create(newKey(), randomBytes(length), deadline, now),
        backend.replace(key, entry, randomBytes(length), deadline, now),
      ]
      for (const outcome of await Promise.allSettled(attempts)) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ERR_TOO_LARGE' } })
      }
      expect(await backend.read(key, now)).toMatchObject({ value })
    })

    test('in a session that has grown too large, tells so, and keeps what was stored before', async () => {
      const sessions = createSessions({ secret: 'a secret of these tests, not of anybody else', backend })
      const visit = sessions.open(await newVisitor(sessions, { user: 'ann' }))
      const session = await visit.session()
      session.set('text', 'x'.repeat(backend.maxBytes ?? 0))
      await expect(session.save()).rejects.toMatchObject({ code: 'ERR_TOO_LARGE' })
      session.delete('text')
      session.set('user', 'bob')
      await session.save()
    })

    test('of 2 MiB, keeps it on a server that was told to, if it was told so too', async () => {
      const args = ['-I', '3m', '-m', '64']
      const large = await startMemcached({ args })
      cleanups.push(large.stop)
      const maxItemBytes = 3 * 1024 * 1024
      const roomy = closedAfterwards(open({ host: large.host, port: large.port, maxItemBytes }))
      for (const length of [2 * 1024 * 1024, roomy.maxBytes ?? 0]) {
        const [key, bytes] = [newKey(), randomBytes(length)]
        expect(await roomy.create(key, bytes, deadline, now)).toBeTypeOf('object')
        expect(bytes.equals((await roomy.read(key, now))?.value ?? Buffer.of())).toBe(true)
      }
    })

    test('that is more than the server takes, names the option to set', async () => {
      const small = await startMemcached({ args: ['-I', '512k'] })
      cleanups.push(small.stop)
      const tooHopeful = closedAfterwards(open({ host: small.host, port: small.port }))
      const refusal = tooHopeful.create(newKey(), randomBytes(700_000), deadline, now)
      await expect(refusal).rejects.toMatchObject({ code: 'ERR_TOO_LARGE' })
      await expect(refusal).rejects.toThrow('maxItemBytes')
      const key = newKey()
      expect(await tooHopeful.create(key, value, deadline, now)).toBeTypeOf('object')
      expect(await tooHopeful.read(key, now)).toMatchObject({ value })
    })
  })

  describe('where somebody else keeps something under the same key', () => {
    const foreign = {
      'is text': 'hello',
      'is empty': '',
      'is a session of another library': '{"cookie":{"path":"/"},"user":"ann"}'.padEnd(60),
      'has digits where the deadline would be': `${'x'.repeat(22)}0000000000001`,
      'has digits where the deadline would be, and goes on': `${'x'.repeat(22)}0000000000001 and more`,
    }
    // Flags in which clients note how a value was written: as text, a number, JSON, bytes, compressed.
    const flags = [0, 1, 2, 4, 8, 16]

    test.each(Object.entries(foreign))('that %s, leaves it alone', async (_, text) => {
      for (const flag of flags) {
        const key = newKey()
        await server.command(`ms vishnu:${key} ${text.length} F${flag}\r\n${text}`)
        const found = (await backend.read(key, now)) as Entry
        expect(Buffer.from(found.value).toString()).toBe(text)
        expect(found.version).toBeUndefined()
        expect(await backend.create(key, value, deadline, now)).toBe('exists')
        expect(await backend.replace(key, found, value, deadline, now)).toBe('conflict')
        expect(await backend.touch(key, found, deadline, now)).toBe('conflict')
        expect(await storedText(server, `vishnu:${key}`)).toBe(text)
      }
    })
  })

  test('leaves no key and no value in an error', async () => {
    const [key, secret] = [newKey(), Buffer.from('canary of a value')]
    const entry = { value: secret, version: 'canary-version'.padEnd(22) + 5, deadline }
    const dead = closedAfterwards(open({ host: '127.0.0.1', port: 1 }))
    const small = closedAfterwards(open({ host: server.host, port: server.port, maxItemBytes: 4096 }))
    const large = Buffer.alloc(2 * 1024 * 1024, secret)
    const outcomes = await Promise.allSettled([
      dead.read(key, now),
      dead.create(key, secret, deadline, now),
      dead.replace(key, entry, secret, deadline, now),
      dead.touch(key, entry, deadline, now),
      small.create(key, large, deadline, now),
      small.read(`${key} ${key}`, now),
    ])
    expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']))
    const shown = inspect(outcomes, { depth: Infinity, showHidden: true })
    expect(shown).not.toContain(key)
    expect(shown).not.toContain('canary')
    expect(shown).not.toContain(secret.toString('hex', 0, 6).replaceAll(/(..)(?=.)/g, '$1 '))
  })

  test('answers with an error once it is closed, twice if need be', async () => {
    const key = newKey()
    await created(key)
    await backend.close?.()
    await backend.close?.()
    const connections = await statistic(server, 'total_connections')
    await expect(backend.read(key, now)).rejects.toMatchObject({ code: 'ERR_BACKEND' })
    expect(await statistic(server, 'total_connections')).toBe(connections + 1)
  })
})
