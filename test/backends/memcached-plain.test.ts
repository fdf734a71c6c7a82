import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Entry, PlainBackend } from '../../src/backend.js'
import { memcached, type PlainMemcachedOptions } from '../../src/backends/memcached.js'
import { vishnuPython } from '../../src/dialects/vishnu-python.js'
import { decodeRecord } from '../../src/dialects/vishnu-python/record.js'
import { MemcachedClient } from '../../src/memcached-client/index.js'
import { plainLaws } from '../../src/testing/plain-laws.js'
import { timeToLive } from '../helpers/memcached-inspect.js'
import { startMemcached, type MemcachedServer } from '../helpers/memcached-server.js'
import { pythonCookie, pythonRecord } from '../helpers/python-sharing.js'
import { World } from '../helpers/unit-world.js'

const KEY = '0123456789abcdef0123456789abcdef'
const NOW = Date.UTC(2026, 0, 1)
const HOUR = 3_600_000

let server: MemcachedServer
let raw: MemcachedClient
beforeAll(async () => {
  server = await startMemcached()
  raw = new MemcachedClient({ servers: [server] })
})
afterAll(async () => {
  await raw.close()
  await server.stop()
})

const open = (options: Partial<PlainMemcachedOptions> = {}): PlainBackend =>
  memcached({ host: server.host, port: server.port, layout: 'plain', ...options })

/** As an unconditional `set` of another client: whatever is there. */
async function write(key: string, value: Uint8Array): Promise<void> {
  const { cas } = (await raw.get(key)) ?? {}
  const outcome = cas === undefined ? await raw.add(key, value, 0) : await raw.compareAndSet(key, value, 0, cas)
  expect(outcome).toBeTypeOf('object')
}

async function read(key: string): Promise<Uint8Array | undefined> {
  return (await raw.get(key))?.value
}

describe('every law of plain backends is kept', () => {
  const laws = plainLaws(open, { write, read }).map(({ name, check }) => [name, check] as const)
  test.each(laws)('%s', async (_, check) => expect(await check()).toBeUndefined())
})

test('a value has the flags 0 and is kept for a minute beyond its deadline, under the bare key or behind a prefix', async () => {
  for (const [backend, key] of [
    [open(), KEY],
    [open({ prefix: 'shop:' }), `shop:${KEY}`],
  ] as const) {
    const entry = await backend.create(KEY, Buffer.from('value'), NOW + HOUR, NOW)
    expect(await server.command(`mg ${key} f v`)).toBe('VA 5 f0\r\nvalue\r\n')
    expect(await timeToLive(server, key)).toBeGreaterThan(3600 + 50)
    expect(await timeToLive(server, key)).toBeLessThanOrEqual(3600 + 60)
    expect(await backend.delete(KEY, entry as Entry)).toBe('deleted')
    await backend.close?.()
  }
})

test('a session is shared with Python, and ends for both', async () => {
  const backend = open()
  const world = new World({ backend, dialect: vishnuPython(), autoSave: true })
  await write(KEY, pythonRecord({ user: 'anna' }, { className: 'PicklableSession' }))
  const visitor = world.visitor()
  visitor.store(`vishnu=${pythonCookie(KEY)}; Path=/; Secure`)
  await visitor.request((session) => session.update('count', (count = 0) => (count as number) + 1))
  const { className, values } = decodeRecord((await read(KEY)) ?? new Uint8Array())
  expect(className).toBe('PicklableSession')
  expect([...values.keys()]).toEqual(['user', 'count'])
  await visitor.request((session) => session.terminate())
  expect(await read(KEY)).toBeUndefined()
  await backend.close?.()
})

test('another layout than these is a configuration error', () => {
  expect(() => open({ layout: 'native' as 'plain' })).toThrow("layout must be 'plain' or left out")
  expect(() => open({ pre_fix: 'a' } as never)).toThrow('pre_fix is not an option: did you mean prefix?')
})
