import dns from 'node:dns'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { performance } from 'node:perf_hooks'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { MemcachedClient, type MemcachedClientOptions } from '../src/memcached-client/index.js'
import { startBlackhole } from './helpers/blackhole.js'
import { failureOf } from './helpers/memcached-failure.js'
import { startMemcached, type MemcachedServer } from './helpers/memcached-server.js'
import { eventually } from './helpers/redis-eventually.js'

type LookupAll = (error: null, addresses: dns.LookupAddress[]) => void

const bytes = (text: string): Buffer => Buffer.from(text)
const sent = { outcomeUnknown: true }
const neverSent = { outcomeUnknown: false }

let server: MemcachedServer
let clients: MemcachedClient[]

beforeEach(async () => {
  server = await startMemcached()
  clients = []
})

afterEach(async () => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  server.resume()
  await Promise.all(clients.map((client) => client.close()))
  await server.stop()
})

function newClient(options: Partial<MemcachedClientOptions> = {}): MemcachedClient {
  const client = new MemcachedClient({ servers: [server], timeout: 10_000, ...options })
  clients.push(client)
  return client
}

/** Waits until the server is back, for as long as the client pauses after failures. */
async function recovers(client: MemcachedClient): Promise<void> {
  await eventually(() =>
    client.get('key').then(
      () => true,
      () => false,
    ),
  )
}

describe('a server that is down', () => {
  test('rejects, says why, and was told nothing', async () => {
    await server.kill9()
    const failure = await failureOf(newClient().add('key', bytes('x'), 0))
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', ...neverSent })
    expect(failure.message).toContain(`127.0.0.1:${server.port} failed: connect ECONNREFUSED`)
  })

  test('says why even if its name stands for several addresses', async () => {
    await server.kill9()
    vi.spyOn(dns, 'lookup').mockImplementation(((_host: string, _options: object, callback: LookupAll) =>
      callback(null, [
        { address: '127.0.0.1', family: 4 },
        { address: '127.0.0.2', family: 4 },
      ])) as typeof dns.lookup)
    const client = newClient({ servers: [{ host: 'cache.example', port: server.port }] })
    expect((await failureOf(client.get('key'))).message).toContain('ECONNREFUSED')
  })

  test('is found again when it is back, empty', async () => {
    const client = newClient()
    await client.add('key', bytes('x'), 0)
    await server.kill9()
    expect(await failureOf(client.get('key'))).toMatchObject({ code: 'UNAVAILABLE' })
    expect(await failureOf(client.get('key'))).toMatchObject({ code: 'UNAVAILABLE' })
    await server.restart()
    await recovers(client)
    expect(await client.get('key')).toBeUndefined()
  })

  test('takes its keys down with it, and no others: they move nowhere', async () => {
    const other = await startMemcached()
    const client = newClient({ servers: [server, other] })
    const keys = Array.from({ length: 40 }, (_, number) => `key-${number}`)
    await Promise.all(keys.map((key) => client.add(key, bytes('x'), 0)))
    const there = await Promise.all(keys.map(async (key) => (await server.command(`mg ${key}`)) === 'HD\r\n'))
    await server.kill9()
    const answers = await Promise.all(
      keys.map((key) =>
        client.get(key).then(
          (item) => item !== undefined,
          () => 'rejected',
        ),
      ),
    )
    expect(answers).toEqual(there.map((isThere) => (isThere ? 'rejected' : true)))
    expect(new Set(there)).toEqual(new Set([true, false]))
    await other.stop()
  })

  test('is asked after 50 ms again, then after 100 and so on, up to a second', async () => {
    let attempts = 0
    const closing = createServer((socket) => {
      attempts++
      socket.destroy()
    })
    closing.listen(0, '127.0.0.1')
    await once(closing, 'listening')
    let now = 1000
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    const client = newClient({ servers: [{ host: '127.0.0.1', port: (closing.address() as AddressInfo).port }] })
    await failureOf(client.get('key'))
    for (const pause of [50, 100, 200, 400, 800, 1000, 1000]) {
      const before = attempts
      now += pause - 1
      expect(await failureOf(client.get('key'))).toMatchObject({ code: 'UNAVAILABLE', ...neverSent })
      expect(attempts).toBe(before)
      now += 1
      expect(await failureOf(client.get('key'))).toMatchObject({ code: 'UNAVAILABLE', ...neverSent })
      expect(attempts).toBe(before + 1)
    }
    closing.close()
  })
})

describe('a connection that is lost', () => {
  test('is made anew at once if it had been of use', async () => {
    const client = newClient()
    await client.add('key', bytes('x'), 0)
    await server.restart()
    // The client may learn of the end by this command or before it.
    await client.get('key').catch(() => undefined)
    expect(await client.get('key')).toBeUndefined()
  })

  test('rejects whatever was on its way, as unknown', async () => {
    const client = newClient()
    await client.get('key')
    await server.pause()
    const pending = Array.from({ length: 50 }, (_, number) => client.add(`key-${number}`, bytes('x'), 0))
    const failures = pending.map(failureOf)
    await server.kill9()
    for (const failure of await Promise.all(failures)) expect(failure).toMatchObject({ code: 'UNAVAILABLE', ...sent })
  })

  test('answers every call of 64 clients when the server is killed under load', async () => {
    const many = Array.from({ length: 64 }, () => newClient())
    await many[0]?.add('key', bytes('0'), 0)
    let answered = 0
    let killed: Promise<void> | undefined
    const loops = many.map(async (client) => {
      for (;;) {
        const item = await client.get('key')
        if (item) await client.compareAndSet('key', bytes(String(answered)), 0, item.cas)
        if (++answered === 1000) killed = server.kill9()
      }
    })
    for (const failure of await Promise.all(loops.map(failureOf)))
      expect(failure).toMatchObject({ code: 'UNAVAILABLE' })
    expect(answered).toBeGreaterThanOrEqual(1000)
    await killed
    await server.restart()
    await Promise.all(many.map(recovers))
  })
})

describe('a server that hangs', () => {
  test('rejects all that is pending once the first has waited long enough', async () => {
    const client = newClient({ timeout: 500 })
    await recovers(client)
    await server.pause()
    const pending = Array.from({ length: 50 }, (_, number) => client.get(`key-${number}`))
    for (const failure of await Promise.all(pending.map(failureOf)))
      expect(failure).toMatchObject({ code: 'TIMEOUT', ...sent })
    server.resume()
    await recovers(client)
  })

  test('has its whole time for every command, however long the client has been waiting for others', async () => {
    let now = 1000
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const pass = async (milliseconds: number): Promise<void> => {
      now += milliseconds
      vi.advanceTimersByTime(milliseconds)
      // What has arrived is read before a command is given up.
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
    }
    const client = newClient({ timeout: 500 })
    await client.get('key')
    // All is answered when the first one's time is over.
    await pass(500)
    await client.get('key')
    await pass(499)
    await server.pause()
    let isOver = false
    const failure = failureOf(client.get('key')).finally(() => (isOver = true))
    await pass(1)
    await pass(498)
    expect(isOver).toBe(false)
    await pass(1)
    expect(isOver).toBe(true)
    expect(await failure).toMatchObject({ code: 'TIMEOUT', ...sent })
  })

  test('is told nothing by a client that it has not greeted', async () => {
    const blackhole = await startBlackhole()
    const client = newClient({ servers: [{ host: '127.0.0.1', port: blackhole.port }], timeout: 100 })
    const failures = await Promise.all([client.add('key', bytes('x'), 0), client.get('key')].map(failureOf))
    for (const failure of failures) expect(failure).toMatchObject({ code: 'TIMEOUT', ...neverSent })
    await blackhole.close()
  })

  test('does not hold up close for longer than a timeout', async () => {
    const client = newClient({ timeout: 500 })
    await recovers(client)
    await server.pause()
    const failure = failureOf(client.get('key'))
    await client.close()
    expect(await failure).toMatchObject({ code: 'TIMEOUT' })
  })

  test('cannot land a write that was given up over a newer one', async () => {
    const [hasty, patient] = [newClient({ timeout: 300 }), newClient()]
    await patient.add('key', bytes('start'), 0)
    for (let round = 0; round < 5; round++) {
      await recovers(hasty)
      const item = await patient.get('key')
      await server.pause()
      const newer = patient.compareAndSet('key', bytes(`newer ${round}`), 0, item?.cas ?? '')
      const late = hasty.compareAndSet('key', bytes(`late ${round}`), 0, item?.cas ?? '')
      expect(await failureOf(late)).toMatchObject({ code: 'TIMEOUT', ...sent })
      server.resume()
      // Of two writes on one version, one lands, whichever the server comes to first.
      const hasWon = typeof (await newer) === 'object'
      await expectValue(patient, `${hasWon ? 'newer' : 'late'} ${round}`)
    }
  })

  test('is not blamed for a process that was busy for longer than the timeout', async () => {
    const client = newClient({ timeout: 500 })
    await recovers(client)
    // The command leaves before, and the answer is there when the process gets to read it.
    const answer = client.get('key')
    await new Promise((resolve) => process.nextTick(resolve))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500)
    expect(await answer).toBeUndefined()
  })
})

async function expectValue(client: MemcachedClient, text: string): Promise<void> {
  expect(String((await client.get('key'))?.value)).toBe(text)
}

describe('a server that can not', () => {
  test('store any more is an error, and the connection stays in step', async () => {
    const full = await startMemcached({ args: ['-M', '-m', '2'] })
    const client = newClient({ servers: [full] })
    const value = Buffer.alloc(100_000)
    const stored = Array.from({ length: 50 }, (_, number) => client.add(`key-${number}`, value, 0))
    const outcomes = await Promise.allSettled(stored)
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
    expect(failures.length).toBeGreaterThan(0)
    expect(failures.length).toBeLessThan(50)
    for (const failure of failures) {
      expect(failure).toMatchObject({ code: 'SERVER', ...sent })
      expect(String(failure)).toContain('out of memory')
    }
    expect(await client.get('key-0')).toBeDefined()
    await full.stop()
  })

  test('compare and set is found out', async () => {
    const without = await startMemcached({ args: ['-C'] })
    const failure = await failureOf(newClient({ servers: [without] }).add('key', bytes('x'), 0))
    expect(failure).toMatchObject({ code: 'PROTOCOL', ...sent })
    expect(failure.message).toContain('-C')
    await without.stop()
  })
})
