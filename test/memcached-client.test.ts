import { randomBytes } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import {
  ITEM_OVERHEAD_BYTES,
  MemcachedClient,
  Ring,
  type MemcachedClientOptions,
} from '../src/memcached-client/index.js'
import { failureOf } from './helpers/memcached-failure.js'
import { startMemcached, type MemcachedServer } from './helpers/memcached-server.js'
import { thrownBy } from './helpers/unit-errors.js'

const bytes = (text: string): Buffer => Buffer.from(text)
const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
)
const newKey = (): string => `key-${randomBytes(6).toString('hex')}`

let server: MemcachedServer
let client: MemcachedClient

/** A slow machine must not look like a hung server. */
function newClient(options: Partial<MemcachedClientOptions> = {}): MemcachedClient {
  return new MemcachedClient({ servers: [server], timeout: 10_000, ...options })
}

beforeAll(async () => {
  server = await startMemcached()
  client = newClient()
})

afterAll(async () => {
  await client.close()
  await server.stop()
})

/** Stores a first value, whatever its kind; resolves to its cas. */
async function addTo(target: MemcachedClient, key: string, value: Uint8Array, expiry = 0): Promise<string> {
  const stored = await target.add(key, value, expiry)
  if (stored === 'exists') throw new Error(`${key} exists`)
  return stored.cas
}

/** In one step: a comparison that shows the difference takes seconds for a long value. */
async function holds(target: MemcachedClient, key: string, value: Buffer): Promise<boolean> {
  const item = await target.get(key)
  return item !== undefined && value.equals(item.value)
}

describe('a command', () => {
  test('get finds nothing, or the value and its version', async () => {
    const key = newKey()
    expect(await client.get(key)).toBeUndefined()
    const cas = await addTo(client, key, bytes('one'))
    expect(await client.get(key)).toEqual({ value: bytes('one'), cas })
  })

  test('add stores where there is nothing, and nowhere else', async () => {
    const key = newKey()
    await addTo(client, key, bytes('one'))
    expect(await client.add(key, bytes('two'), 0)).toBe('exists')
    expect((await client.get(key))?.value).toEqual(bytes('one'))
  })

  test('compareAndSet replaces the version it names, and tells the new one', async () => {
    const key = newKey()
    const first = await addTo(client, key, bytes('one'))
    const second = await client.compareAndSet(key, bytes('two'), 0, first)
    expect(await client.get(key)).toEqual({ value: bytes('two'), ...(second as { cas: string }) })
    expect(await client.compareAndSet(key, bytes('three'), 0, first)).toBe('conflict')
    expect((await client.get(key))?.value).toEqual(bytes('two'))
  })

  test('compareAndSet creates nothing', async () => {
    const key = newKey()
    const cas = await addTo(client, key, bytes('one'))
    await client.delete(key)
    expect(await client.compareAndSet(key, bytes('two'), 0, cas)).toBe('gone')
    expect(await client.get(key)).toBeUndefined()
  })

  test('delete removes what is there, and is content with nothing', async () => {
    const key = newKey()
    await addTo(client, key, bytes('one'))
    await client.delete(key)
    await client.delete(key)
    expect(await client.get(key)).toBeUndefined()
  })

  test('64 loops of compare-and-set over 4 clients count to the exact total', async () => {
    const key = newKey()
    await addTo(client, key, bytes('0'))
    const clients = Array.from({ length: 4 }, () => newClient())
    const increment = async (by: MemcachedClient): Promise<void> => {
      for (;;) {
        const item = await by.get(key)
        if (item === undefined) throw new Error('The counter is gone')
        const next = bytes(String(Number(Buffer.from(item.value).toString()) + 1))
        if (typeof (await by.compareAndSet(key, next, 0, item.cas)) === 'object') return
      }
    }
    const loops = Array.from({ length: 64 }, async (_, loop) => {
      for (let round = 0; round < 20; round++) await increment(clients[loop % 4] ?? client)
    })
    await Promise.all(loops)
    expect((await client.get(key))?.value).toEqual(bytes('1280'))
    await Promise.all(clients.map((each) => each.close()))
  })

  test('of many at once gets its own answer, over one connection', async () => {
    const own = newClient()
    const connections = async (): Promise<number> =>
      Number(/total_connections (\d+)/.exec(await server.command('stats'))?.[1])
    const before = await connections()
    const keys = Array.from({ length: 500 }, newKey)
    await Promise.all(keys.map((key) => own.add(key, bytes(key), 60)))
    const items = await Promise.all(keys.map((key) => own.get(key)))
    expect(items.map((item) => String(item?.value))).toEqual(keys.map((key) => String(bytes(key))))
    // One of the two is that of the question itself.
    expect((await connections()) - before).toBe(2)
    await own.close()
  })
})

describe('an expiry', () => {
  const remaining = async (key: string): Promise<number> =>
    Number(/ t(-?\d+)/.exec(await server.command(`mg ${key} t`))?.[1])

  test('of 0 is never', async () => {
    const key = newKey()
    await addTo(client, key, bytes('x'), 0)
    expect(await remaining(key)).toBe(-1)
  })

  test('up to 30 days counts from now, and is set anew by a write', async () => {
    const key = newKey()
    const cas = await addTo(client, key, bytes('x'), 30 * 86_400)
    expect(await remaining(key)).toBeGreaterThan(29 * 86_400)
    await client.compareAndSet(key, bytes('y'), 3600, cas)
    expect(await remaining(key)).toBeLessThanOrEqual(3600)
    expect(await remaining(key)).toBeGreaterThan(3500)
  })

  test('beyond 30 days is a date', async () => {
    const key = newKey()
    await addTo(client, key, bytes('x'), Math.floor(Date.now() / 1000) + 90 * 86_400)
    expect(await remaining(key)).toBeGreaterThan(89 * 86_400)
  })

  test.each([-1, 1.5, NaN, 2 ** 31, Infinity])('of %s is refused', async (expiry) => {
    const key = newKey()
    expect(await failureOf(client.add(key, bytes('x'), expiry))).toMatchObject({ code: 'ARGUMENT' })
    expect(await failureOf(client.compareAndSet(key, bytes('x'), expiry, '1'))).toMatchObject({ code: 'ARGUMENT' })
    expect(await client.get(key)).toBeUndefined()
  })
})

describe('a key', () => {
  const hostile = {
    'with a line and a command in it': 'x\r\nflush_all',
    'with a line feed': 'x\nflush_all\n',
    'with a carriage return': 'x\rflush_all',
    'with a space': 'x c v',
    'with a tab': 'x\tv',
    'with a NUL': 'x\0',
    'with a control character': 'x\x7f',
    'with an umlaut': 'schlüssel',
    'whose low bytes are CR and LF': 'x\u010d\u010aflush_all',
    'of 251 characters': 'k'.repeat(251),
    'that is empty': '',
    'that is not a string': 7 as unknown as string,
    'that is a list': ['x'] as unknown as string,
  }

  test.each(Object.entries(hostile))('%s is refused before anything is sent', async (_, key) => {
    const canary = newKey()
    const cas = await addTo(client, canary, bytes('alive'))
    const attempts = [
      client.get(key),
      client.add(key, bytes('x'), 0),
      client.compareAndSet(key, bytes('x'), 0, '1'),
      client.delete(key),
    ]
    for (const attempt of attempts)
      expect(await failureOf(attempt)).toMatchObject({ code: 'KEY', outcomeUnknown: false })
    expect(await client.get(canary)).toEqual({ value: bytes('alive'), cas })
    expect(await server.command('stats')).toContain('STAT cmd_flush 0\r\n')
  })

  test('of 250 characters from ! to ~ is as good as any', async () => {
    const every = Array.from({ length: 94 }, (_, index) => String.fromCodePoint(0x21 + index)).join('')
    for (const key of [every, every.padEnd(250, 'k')]) {
      const cas = await addTo(client, key, bytes('x'))
      expect(await client.get(key)).toEqual({ value: bytes('x'), cas })
      await client.delete(key)
    }
  })

  test.each(['1 c\r\nflush_all', '', '0', '-1', '01', '123456789012345678901', 1 as unknown as string])(
    'is not written under the version %j, which no server has given',
    async (cas) => {
      const key = newKey()
      await addTo(client, key, bytes('x'))
      expect(await failureOf(client.compareAndSet(key, bytes('y'), 0, cas))).toMatchObject({ code: 'ARGUMENT' })
      expect((await client.get(key))?.value).toEqual(bytes('x'))
    },
  )
})

describe('a value', () => {
  const values = {
    'that is empty': Buffer.alloc(0),
    'of line ends': bytes('\r\n'),
    'that looks like replies': bytes('x\r\nEN\r\nHD c1 O1\r\nVA 3 c1 O1\r\nabc\r\n'),
    'that looks like commands': bytes('x\r\nflush_all\r\nmd x\r\n'),
    'of every byte': Buffer.from(Array.from({ length: 256 }, (_, index) => index)),
    'of 300 KiB': randomBytes(300 * 1024),
  }

  test.each(Object.entries(values))('%s comes back as it was', async (_, value) => {
    const key = newKey()
    const cas = await addTo(client, key, value)
    expect(await holds(client, key, value)).toBe(true)
    expect(await client.compareAndSet(key, value, 0, cas)).toHaveProperty('cas')
    expect(await holds(client, key, value)).toBe(true)
  })

  test('is copied: the caller may change it while it is on its way, or waits for a connection', async () => {
    const own = newClient()
    for (const key of [newKey(), newKey()]) {
      const value = bytes('before')
      const stored = own.add(key, value, 0)
      value.fill('x')
      await stored
      expect((await own.get(key))?.value).toEqual(bytes('before'))
    }
    await own.close()
  })

  test('that is no Uint8Array is refused', async () => {
    const text = 'text' as unknown as Uint8Array
    expect(await failureOf(client.add(newKey(), text, 0))).toMatchObject({ code: 'ARGUMENT' })
  })

  test.each([1, 250])('may be as long as the server takes, with a key of %i characters', async (keyLength) => {
    const key = 'k'.repeat(keyLength)
    const value = randomBytes(1024 * 1024 - ITEM_OVERHEAD_BYTES - keyLength)
    await addTo(client, key, value)
    expect(await holds(client, key, value)).toBe(true)
    await client.delete(key)
  })

  test.each([1 - ITEM_OVERHEAD_BYTES - 10, -1, 0, 1])(
    'of 1 MiB and %i bytes is too large under a key of 10, and what was there stays',
    async (difference) => {
      const key = newKey().slice(0, 10)
      const cas = await addTo(client, key, bytes('small'))
      const value = Buffer.alloc(1024 * 1024 + difference)
      const tooLarge = { code: 'TOO_LARGE', outcomeUnknown: false }
      expect(await failureOf(client.add(key, value, 0))).toMatchObject(tooLarge)
      expect(await failureOf(client.compareAndSet(key, value, 0, cas))).toMatchObject(tooLarge)
      expect(await client.get(key)).toEqual({ value: bytes('small'), cas })
      await client.delete(key)
    },
  )

  test('may be larger where the servers and the client are told so', async () => {
    const large = await startMemcached({ args: ['-I', '2m'] })
    const own = newClient({ servers: [large], maxItemBytes: 2 * 1024 * 1024 })
    const value = randomBytes(2 * 1024 * 1024 - ITEM_OVERHEAD_BYTES - 3)
    await addTo(own, 'key', value)
    expect(await holds(own, 'key', value)).toBe(true)
    await own.close()
    await large.stop()
  })

  test('that the server finds too large is a typed error, and the connection stays in step', async () => {
    const own = newClient({ maxItemBytes: 2 * 1024 * 1024 })
    const key = newKey()
    const [tooLarge, next] = [own.add(key, Buffer.alloc(1024 * 1024), 0), own.add(newKey(), bytes('x'), 0)]
    expect(await failureOf(tooLarge)).toMatchObject({ code: 'TOO_LARGE', outcomeUnknown: true })
    expect(await next).toHaveProperty('cas')
    await own.close()
  })
})

describe('several servers', () => {
  test('hold the keys that the ring gives them', async () => {
    const others = await Promise.all([startMemcached(), startMemcached()])
    const servers = [server, ...others]
    const own = newClient({ servers })
    const ring = new Ring(servers)
    const keys = Array.from({ length: 60 }, newKey)
    await Promise.all(keys.map((key) => own.add(key, bytes(key), 0)))
    const found = await Promise.all(
      servers.map((each) => Promise.all(keys.map(async (key) => (await each.command(`mg ${key}`)) === 'HD\r\n'))),
    )
    for (const [index, key] of keys.entries())
      expect(found.map((at) => at[index])).toEqual(servers.map((_, owner) => owner === ring.indexOf(key)))
    expect(new Set(keys.map((key) => ring.indexOf(key))).size).toBe(3)
    await own.close()
    await Promise.all(others.map((each) => each.stop()))
  })
})

describe('a client', () => {
  const { host, port } = { host: 'localhost', port: 11211 }
  const wrong: Record<string, unknown> = {
    'no servers': { servers: [] },
    'a server as text': { servers: 'localhost:11211' },
    'a server without a host': { servers: [{ host: '', port }] },
    'a port that is none': { servers: [{ host, port: 65_536 }] },
    'a port as text': { servers: [{ host, port: '11211' }] },
    'a server twice': {
      servers: [
        { host, port },
        { host, port },
      ],
    },
    'a timeout of 0': { servers: [{ host, port }], timeout: 0 },
    'an endless timeout': { servers: [{ host, port }], timeout: Infinity },
    'tiny items': { servers: [{ host, port }], maxItemBytes: 10 },
    'a TLS version that is none': { servers: [{ host, port }], tls: { minVersion: 'TLSv9' } },
    'a certificate that is none': { servers: [{ host, port }], tls: { cert: 'x', key: 'y' } },
    'a name without a password': { servers: [{ host, port }], username: 'app' },
    'a password without a name': { servers: [{ host, port }], password: 'secret' },
  }

  test.each(Object.entries(wrong))('refuses %s', (_, options) => {
    const error = thrownBy(() => new MemcachedClient(options as MemcachedClientOptions))
    expect(error).toMatchObject({ name: 'MemcachedError', code: 'ARGUMENT' })
  })

  test('opens nothing before the first command', async () => {
    const before = process.getActiveResourcesInfo()
    const unused = newClient()
    expect(process.getActiveResourcesInfo()).toEqual(before)
    await unused.close()
  })

  test('lets the process end while nothing is pending, and not before', async () => {
    const own = newClient()
    const kept = (): string[] => process.getActiveResourcesInfo().toSorted()
    const timers = vi.spyOn(globalThis, 'setTimeout')
    // One timer watches over all of them.
    const connected = Promise.all([own.get('one'), own.get('two'), own.get('three')])
    expect(timers.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([false])
    timers.mockRestore()
    await connected
    const idle = kept()
    const pending = own.get('key')
    expect(kept()).toEqual([...idle, 'TCPSocketWrap'].toSorted())
    await pending
    await own.close()
  })

  test('answers what was asked before it was closed, and nothing after', async () => {
    const own = newClient()
    const keys = Array.from({ length: 100 }, newKey)
    await own.get('connected')
    const stored = keys.map((key) => own.add(key, bytes('x'), 60))
    const closed = own.close()
    expect(await failureOf(own.get('key'))).toMatchObject({ code: 'CLOSED', outcomeUnknown: false })
    for (const each of await Promise.all(stored)) expect(each).toHaveProperty('cas')
    await closed
    await own.close()
  })

  test('answers what was asked before it was closed even if it was not connected yet', async () => {
    const own = newClient()
    const asked = own.get(newKey())
    await own.close()
    expect(await asked).toBeUndefined()
  })

  test.skipIf(!hasIpv6)('reaches a server over IPv6', async () => {
    const v6 = await startMemcached({ host: '::1' })
    const own = newClient({ servers: [v6] })
    await addTo(own, 'key', bytes('x'))
    expect((await own.get('key'))?.value).toEqual(bytes('x'))
    await own.close()
    await v6.stop()
    const down = newClient({ servers: [v6] })
    expect((await failureOf(down.get('key'))).message).toContain(`[::1]:${v6.port}`)
  })
})
