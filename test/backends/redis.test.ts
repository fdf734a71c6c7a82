import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { createClient } from '@redis/client'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Backend, Entry } from '../../src/backend.js'
import { redis } from '../../src/backends/redis.js'
import type { RedisClient } from '../../src/backends/redis-client.js'
import { SessionError } from '../../src/errors.js'
import { Browser } from '../helpers/browser.js'
import { startApp } from '../helpers/redis-app.js'
import { clientNames, openReady, type OpenClient } from '../helpers/redis-clients.js'
import { expectUnavailable } from '../helpers/redis-expect.js'
import { lawsOf } from '../helpers/laws.js'
import { startRedis, type RedisServer } from '../helpers/redis-server.js'
import { commandsDuring } from '../helpers/redis-statistics.js'

const now = Date.UTC(2026, 0, 1)
const deadline = now + 3_600_000
const value = Buffer.from('a value')

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())

const newKey = (): string => randomBytes(32).toString('base64url')
const own = (options: Parameters<typeof redis>[0] = {}): Backend =>
  redis({ host: '127.0.0.1', port: server.port, ...options })

describe('every law of backends is kept', () => {
  describe('with a connection of its own:', () => {
    test.each(lawsOf(() => own()))('%s', async (_, check) => expect(await check()).toBeUndefined())
  })

  describe('with a url and a prefix:', () => {
    const open = (): Backend => redis({ url: `redis://127.0.0.1:${server.port}/3`, prefix: 'shop:{sessions}:' })
    test.each(lawsOf(open))('%s', async (_, check) => expect(await check()).toBeUndefined())
  })

  describe.each(clientNames)("with the application's client of %s:", (name) => {
    let opened: OpenClient
    let backend: Backend
    beforeAll(async () => {
      opened = await openReady(name, server.port)
      backend = redis({ client: opened.client })
    })
    afterAll(() => opened.close())
    test.each(lawsOf(() => backend))('%s', async (_, check) => expect(await check()).toBeUndefined())
  })
})

describe('what is in Redis', () => {
  let backend: Backend
  beforeAll(() => {
    backend = own()
  })
  afterAll(() => backend.close?.())

  test('is a token of 22 characters, the deadline in 13 digits, a line end and the value', async () => {
    const key = newKey()
    const created = (await backend.create(key, value, deadline, now)) as Entry
    const stored = await server.command('GET', `vishnu:${key}`)
    expect(stored).toMatch(/^[\w-]{22}\d{13}\na value$/)
    expect(stored).toBe(`${String(created.version)}${deadline}\na value`)

    await backend.touch(key, created, deadline + 5, now)
    expect(await server.command('GET', `vishnu:${key}`)).toBe(`${String(created.version)}${deadline + 5}\na value`)

    const replaced = (await backend.replace(key, created, Buffer.from('new'), 7_000, 6_000)) as typeof created | 'gone'
    expect(replaced).toBeTypeOf('object')
    expect(await server.command('GET', `vishnu:${key}`)).toMatch(/^[\w-]{22}0000000007000\nnew$/)
  })

  test('is removed by Redis a minute after its deadline, whatever the clocks say', async () => {
    const key = newKey()
    const expectTimeToLive = async (milliseconds: number): Promise<void> => {
      const left = Number(await server.command('PTTL', `vishnu:${key}`))
      expect(left).toBeLessThanOrEqual(milliseconds)
      expect(left).toBeGreaterThan(milliseconds - 20_000)
    }
    const entry = (await backend.create(key, value, now + 100_000, now)) as Entry
    await expectTimeToLive(160_000)
    await backend.touch(key, entry, now + 500_000, now + 50_000)
    await expectTimeToLive(510_000)
    await backend.touch(key, entry, now + 100_000, now + 50_000)
    await expectTimeToLive(110_000)
    await backend.replace(key, entry, value, now + 1_000_000, now)
    await expectTimeToLive(1_060_000)
  })

  test('is read by one GET and written by one script', async () => {
    const key = newKey()
    let entry = (await backend.create(key, value, deadline, now)) as Entry
    await backend.touch(key, entry, deadline, now)
    expect(await commandsDuring(server, () => backend.read(key, now))).toEqual({ get: 1 })
    expect(await commandsDuring(server, () => backend.read(newKey(), now))).toEqual({ get: 1 })
    const write = { evalsha: 1, getrange: 1, set: 1 }
    expect(await commandsDuring(server, () => backend.create(newKey(), value, deadline, now))).toEqual(write)
    const replace = async (): Promise<void> => {
      entry = (await backend.replace(key, entry, value, deadline, now)) as Entry
    }
    expect(await commandsDuring(server, replace)).toEqual(write)
    const touch = { evalsha: 1, getrange: 1, setrange: 1, pexpire: 1 }
    expect(await commandsDuring(server, () => backend.touch(key, entry, deadline, now))).toEqual(touch)
  })

  test('is kept in the database that was asked for', async () => {
    const script = "redis.call('SELECT', ARGV[1]) return redis.call('EXISTS', KEYS[1])"
    const exists = (db: number, key: string): Promise<string> =>
      server.command('EVAL', script, '1', `vishnu:${key}`, String(db))
    for (const other of [own({ db: 7 }), redis({ url: `redis://127.0.0.1:${server.port}/7` })]) {
      const key = newKey()
      await other.create(key, value, deadline, now)
      await other.close?.()
      expect([await exists(7, key), await exists(0, key)]).toEqual(['1', '0'])
    }
  })
})

describe('what somebody else keeps under the same key', () => {
  const foreign = {
    'is text': 'hello',
    'is empty': '',
    'is a session of another library': '{"cookie":{"path":"/"},"user":"ann"}'.padEnd(60),
    'has digits where the deadline would be': `${'x'.repeat(22)}0000000000001`,
    'has digits where the deadline would be, and goes on': `${'x'.repeat(22)}0000000000001 and more`,
    'has a deadline behind what is too short for a token': `${'x'.repeat(21)}0000000000001\n`,
    'has a deadline behind what is no token': `${'x y '.padEnd(22, '.')}0000000000001\nand more`,
    'has something like a number there': `${'x'.repeat(22)}      0x1    \nand more`,
  }
  test.each(Object.entries(foreign))('is not written over where it %s', async (_, text) => {
    const backend = own()
    const key = newKey()
    await server.command('SET', `vishnu:${key}`, text)
    const found = await backend.read(key, now)
    expect(found).toEqual({ value: Buffer.from(text) })
    expect(await backend.create(key, value, deadline, now)).toBe('exists')
    expect(await server.command('GET', `vishnu:${key}`)).toBe(text)
    await backend.close?.()
  })

  test('is not written over where it is no string', async () => {
    const backend = own()
    const key = newKey()
    await server.command('HSET', `vishnu:${key}`, 'field', 'text')
    await expect(backend.read(key, now)).rejects.toMatchObject({ code: 'ERR_BACKEND' })
    await expect(backend.create(key, value, deadline, now)).rejects.toMatchObject({ code: 'ERR_BACKEND' })
    expect(await server.command('HGET', `vishnu:${key}`, 'field')).toBe('text')
    await backend.close?.()
  })
})

describe.each(clientNames)("the application's client of %s", (name) => {
  let opened: OpenClient
  let backend: Backend
  beforeAll(async () => {
    opened = await openReady(name, server.port)
    backend = redis({ client: opened.client })
  })
  afterAll(() => opened.close())

  test('goes on when the server has forgotten the scripts', async () => {
    const key = newKey()
    await server.command('SCRIPT', 'FLUSH')
    const created = (await backend.create(key, value, deadline, now)) as Entry
    await server.command('SCRIPT', 'FLUSH')
    const replaced = (await backend.replace(key, created, Buffer.from('new'), deadline, now)) as Entry
    await server.command('SCRIPT', 'FLUSH')
    expect(await backend.touch(key, replaced, deadline + 1, now)).toBe('touched')
    expect(await backend.read(key, now)).toMatchObject({ value: Buffer.from('new'), deadline: deadline + 1 })
  })

  test('stays open when the backend is closed', async () => {
    const key = newKey()
    await redis({ client: opened.client }).close?.()
    await backend.create(key, value, deadline, now)
    expect(await redis({ client: opened.client }).read(key, now)).toMatchObject({ value })
  })

  test('leaves no key and no value in an error', async () => {
    const key = newKey()
    const secret = Buffer.from('canary of a value')
    await server.command('RPUSH', `vishnu:${key}`, 'a list')
    const closed = await openReady(name, server.port)
    const dead = redis({ client: closed.client })
    closed.close()
    const attempts = [backend, dead].flatMap((one) => [
      one.create(key, secret, deadline, now),
      one.replace(key, { value: secret, version: 'canary-version'.padEnd(22) }, secret, deadline, now),
      one.touch(key, { value: secret, version: 'canary-version'.padEnd(22) }, deadline, now),
      one.read(key, now),
    ])
    const outcomes = await Promise.allSettled(attempts)
    for (const outcome of outcomes) expect(outcome.status).toBe('rejected')
    const shown = inspect(outcomes, { depth: Infinity, showHidden: true })
    expect(shown).not.toContain(key)
    expect(shown).not.toContain('canary')
    expect(shown).not.toContain(secret.toString('hex', 0, 6).replaceAll(/(..)(?=.)/g, '$1 '))
  })

  test('is told of a full server at once, and what is stored can still be read', async () => {
    const full = await startRedis()
    const client = await openReady(name, full.port)
    try {
      const filling = redis({ client: client.client })
      const [key, other] = [newKey(), newKey()]
      const entry = (await filling.create(key, value, deadline, now)) as Entry
      await full.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1')
      const attempts = [
        filling.create(other, value, deadline, now),
        filling.replace(key, entry, Buffer.from('new'), deadline, now),
        filling.touch(key, entry, deadline + 1, now),
      ]
      for (const outcome of await Promise.allSettled(attempts)) {
        const { reason } = outcome as PromiseRejectedResult
        expect(reason).toBeInstanceOf(SessionError)
        expect(reason).toMatchObject({ code: 'ERR_BACKEND', message: expect.stringContaining('OOM') })
      }
      expect(await filling.read(key, now)).toMatchObject({ value, deadline })
      expect(await filling.read(other, now)).toBeUndefined()

      // The refusal is final, so the core asks neither for what became of it nor again.
      const app = await startApp(filling, { backendTimeout: 2000 })
      const newcomer = new Browser()
      const commands = await commandsDuring(full, async () => {
        expectUnavailable(await newcomer.post(app.url('/rename?argument=ann')))
      })
      expect(commands).toMatchObject({ evalsha: 1, getrange: 1 })
      await app.close()
    } finally {
      client.close()
      await full.stop()
    }
  })
})

describe('a client that the application has configured', () => {
  const binary = Buffer.of(0xff, 0, 1)

  async function roundTrip(client: RedisClient): Promise<Entry | undefined> {
    const backend = redis({ client })
    const key = newKey()
    const created = (await backend.create(key, value, deadline, now)) as Entry
    await backend.touch(key, created, deadline + 1, now)
    await backend.replace(key, created, binary, deadline + 2, now)
    return backend.read(key, now)
  }

  test.each([2, 3] as const)('works with version %i of the protocol', async (RESP) => {
    const nodeRedis = createClient({ RESP, socket: { host: '127.0.0.1', port: server.port } })
    await nodeRedis.connect()
    expect(await roundTrip(nodeRedis)).toMatchObject({ value: binary, deadline: deadline + 2 })
    nodeRedis.destroy()
    const ioredis = new Redis(server.port, '127.0.0.1', { protocol: RESP })
    expect(await roundTrip(ioredis)).toMatchObject({ value: binary, deadline: deadline + 2 })
    ioredis.disconnect()
  })

  test('keeps its own key prefix and auto-pipelining', async () => {
    const client = new Redis(server.port, '127.0.0.1', { keyPrefix: 'theirs:', enableAutoPipelining: true })
    expect(await roundTrip(client)).toMatchObject({ value: binary, deadline: deadline + 2 })
    expect(await server.command('KEYS', 'theirs:*')).toMatch(/^theirs:vishnu:[\w-]{43}$/)
    client.disconnect()
  })
})
