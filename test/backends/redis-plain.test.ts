import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Entry, PlainBackend } from '../../src/backend.js'
import { redis } from '../../src/backends/redis.js'
import { plainLaws } from '../../src/testing/plain-laws.js'
import { clientNames, openReady, type OpenClient } from '../helpers/redis-clients.js'
import { startRedis, type RedisServer } from '../helpers/redis-server.js'

const KEY = '0123456789abcdef0123456789abcdef'
const NOW = Date.UTC(2026, 0, 1)
const HOUR = 3_600_000

let server: RedisServer
let raw: Redis
beforeAll(async () => {
  server = await startRedis()
  raw = new Redis(server.port, '127.0.0.1')
})
afterAll(async () => {
  raw.disconnect()
  await server.stop()
})

const open = (): PlainBackend => redis({ host: '127.0.0.1', port: server.port, layout: 'plain' })
const other = {
  write: async (key: string, value: Uint8Array) => void (await raw.set(key, Buffer.from(value))),
  read: async (key: string) => (await raw.getBuffer(key)) ?? undefined,
}

describe('every law of plain backends is kept', () => {
  describe('with a connection of its own:', () => {
    const laws = plainLaws(open, other).map(({ name, check }) => [name, check] as const)
    test.each(laws)('%s', async (_, check) => expect(await check()).toBeUndefined())
  })

  describe.each(clientNames)("with the application's client of %s:", (name) => {
    let opened: OpenClient
    beforeAll(async () => {
      opened = await openReady(name, server.port)
    })
    afterAll(() => opened.close())
    const laws = plainLaws(() => redis({ client: opened.client, layout: 'plain' }), other)
    test.each(laws.map((law) => [law.name, law.check] as const))('%s', async (_, check) =>
      expect(await check()).toBeUndefined(),
    )
  })
})

test('a value is kept for a minute beyond its deadline, under the bare key or behind a prefix', async () => {
  const prefixed = redis({ host: '127.0.0.1', port: server.port, layout: 'plain', prefix: 'shop:' })
  for (const [backend, key] of [
    [open(), KEY],
    [prefixed, `shop:${KEY}`],
  ] as const) {
    const entry = await backend.create(KEY, Buffer.from('value'), NOW + HOUR, NOW)
    expect(await raw.get(key)).toBe('value')
    expect(await raw.pttl(key)).toBeGreaterThan(HOUR + 50_000)
    expect(await raw.pttl(key)).toBeLessThanOrEqual(HOUR + 60_000)
    expect(await backend.delete(KEY, entry as Exclude<typeof entry, string>)).toBe('deleted')
    expect(await raw.exists(key)).toBe(0)
    await backend.close?.()
  }
})

test('a write whose reply was lost and that the client sent again has succeeded', async () => {
  const backend = open()
  const first = await backend.create(KEY, Buffer.from('first'), NOW + HOUR, NOW)
  expect(first).toBeTypeOf('object')
  expect(await backend.create(KEY, Buffer.from('first'), NOW + HOUR, NOW)).toBeTypeOf('object')
  const entry = first as Exclude<typeof first, string>
  expect(await backend.replace(KEY, entry, Buffer.from('second'), NOW + HOUR, NOW)).toBeTypeOf('object')
  expect(await backend.replace(KEY, entry, Buffer.from('second'), NOW + HOUR, NOW)).toBeTypeOf('object')
  expect(await backend.replace(KEY, entry, Buffer.from('third'), NOW + HOUR, NOW)).toBe('conflict')
  await raw.del(KEY)
  await backend.close?.()
})

test('a write and a removal are done only when as many replicas have them as were asked for', async () => {
  const [careless, careful] = [
    open(),
    redis({ host: '127.0.0.1', port: server.port, layout: 'plain', waitForReplicas: 1 }),
  ]
  await careless.create(KEY, Buffer.from('first'), NOW + HOUR, NOW)
  const unconfirmed = { code: 'ERR_BACKEND', message: expect.stringContaining('0 of 1 replicas') as string }
  const first = (await careful.read(KEY, NOW)) as Entry
  await expect(careful.replace(KEY, first, Buffer.from('second'), NOW + HOUR, NOW)).rejects.toMatchObject(unconfirmed)
  const second = (await careful.read(KEY, NOW)) as Entry
  await expect(careful.delete(KEY, second)).rejects.toMatchObject(unconfirmed)
  for (const backend of [careless, careful]) await backend.close?.()
})

test('a backend that was closed is out of reach', async () => {
  const backend = open()
  await backend.read(KEY, NOW)
  await backend.close?.()
  await expect(backend.read(KEY, NOW)).rejects.toMatchObject({ code: 'ERR_BACKEND' })
})

test('another layout than these is a configuration error', () => {
  expect(() => redis({ layout: 'native' as 'plain' })).toThrow("layout must be 'plain' or left out")
})
