import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { redis } from '../src/backends/redis.js'
import { type Backend, createSessions, type Session } from '../src/index.js'
import { manualClock } from './helpers/clock.js'
import { recordingBackend } from './helpers/contract-backends.js'
import { begin, newVisitor, request, secret, startServer, valuesOf } from './helpers/contract-requests.js'
import { startRedis } from './helpers/redis-server.js'

// What a request costs the backend, and when it costs the browser a cookie.

interface Counted {
  readonly backend: Backend
  /** The commands since the last time it was asked. */
  readonly commands: () => Promise<number>
  readonly stop: () => Promise<void>
}

const kinds = [
  { name: 'memory', start: countedMemory },
  { name: 'Redis', start: countedRedis },
]

describe.each(kinds)('on $name', ({ start }) => {
  const clock = manualClock()
  const hour = { timeout: 3600, clock: clock.now }
  let counted: Counted
  let manual: ReturnType<typeof startServer>
  let automatic: ReturnType<typeof startServer>
  beforeAll(async () => {
    counted = await start()
    manual = startServer(counted.backend, hour)
    automatic = startServer(counted.backend, { ...hour, autoSave: true })
    // Redis learns each script with its first use.
    const cookie = await newVisitor(manual, { user: 'alice' })
    clock.advance(60_000)
    await request(manual, cookie)
  })
  afterAll(() => counted.stop())

  /** What a request costs: commands, and Set-Cookie lines. */
  async function cost(run: () => Promise<{ setCookies: readonly string[] }>): Promise<[number, number]> {
    await counted.commands()
    const { setCookies } = await run()
    return [await counted.commands(), setCookies.length]
  }

  test('a request that never asks for the session costs nothing, whatever its cookie', async () => {
    const cookie = await newVisitor(automatic, { user: 'alice' })
    clock.advance(600_000)
    const visit = automatic.open(cookie)
    const answer = async () => ({ setCookies: (await automatic.commit(visit, () => undefined)).append.map(String) })
    expect(await cost(answer)).toEqual([0, 0])
  })

  test('a visitor without a cookie costs nothing until something is set', async () => {
    const idle = (session: Session): unknown => {
      session.delete('user')
      session.clear()
      session.timeout = 60
      return [session.get('user'), session.has('user'), session.keys(), session.timeout, session.publicId]
    }
    expect(await cost(() => request(automatic, undefined, idle))).toEqual([0, 0])
    expect(await cost(() => request(manual, undefined, (session) => session.save()))).toEqual([0, 0])
    expect(await cost(() => request(manual, undefined, (session) => session.terminate()))).toEqual([0, 0])
    expect(await cost(() => request(automatic, undefined, (session) => session.regenerate()))).toEqual([0, 0])
  })

  test('a forged cookie costs nothing', async () => {
    const mallory = createSessions({ secret: `not ${secret}`, backend: memory() })
    const forged = await newVisitor(mallory, { user: 'alice' })
    expect(await cost(() => request(automatic, forged, (session) => session.get('user')))).toEqual([0, 0])
  })

  test('a genuine cookie whose session has ended costs one command, and stays as it is', async () => {
    const cookie = await newVisitor(automatic, { user: 'alice' })
    await request(automatic, cookie, (session) => session.terminate())
    expect(await cost(() => request(automatic, cookie, (session) => session.get('user')))).toEqual([1, 0])
    clock.advance(3_600_000)
    expect(await cost(() => request(automatic, cookie, (session) => session.get('user')))).toEqual([1, 0])
  })

  test('reading costs one command, however often', async () => {
    const cookie = await newVisitor(automatic, { user: 'alice' })
    const readAlot = (session: Session): void => {
      for (let time = 0; time < 20; time++) session.get(`key ${time}`)
      session.entries()
    }
    expect(await cost(() => request(automatic, cookie, readAlot))).toEqual([1, 0])
  })

  test('a touch costs one more, and no earlier than it is due', async () => {
    const cookie = await newVisitor(automatic, { user: 'alice' })
    const read = () => cost(() => request(automatic, cookie, (session) => session.get('user')))
    clock.advance(59_999)
    expect(await read()).toEqual([1, 0])
    clock.advance(1)
    expect(await read()).toEqual([2, 0])
    expect(await read()).toEqual([1, 0])
  })

  test('reading and writing cost two, with or without a touch due', async () => {
    const cookie = await newVisitor(automatic, { user: 'alice', count: 0 })
    for (const wait of [0, 600_000]) {
      clock.advance(wait)
      const set = (session: Session): void => session.set('seen', session.get('user'))
      expect(await cost(() => request(automatic, cookie, set))).toEqual([2, 0])
      const save = (session: Session): unknown => (set(session), session.save())
      expect(await cost(() => request(automatic, cookie, save))).toEqual([2, 0])
      expect(await cost(() => request(manual, cookie, save))).toEqual([2, 0])
      const count = (session: Session): unknown => session.update('count', (n) => (n as number) + 1)
      expect(await cost(() => request(automatic, cookie, count))).toEqual([2, 0])
    }
  })

  test('creating costs one command and the cookie', async () => {
    expect(await cost(() => request(automatic, undefined, (session) => session.set('user', 'alice')))).toEqual([1, 1])
    const first = (session: Session): unknown => session.update('count', () => 1)
    expect(await cost(() => request(manual, undefined, first))).toEqual([1, 1])
  })

  test('a log-in costs three commands, a log-out two, and each one cookie', async () => {
    let cookie: string | undefined = await newVisitor(automatic, { cart: [] })
    const logIn = async () => {
      const answer = await request(automatic, cookie, (session) => {
        session.set('user', 'alice')
        session.regenerate({ authenticated: true })
      })
      cookie = answer.cookie
      return answer
    }
    expect(await cost(logIn)).toEqual([3, 1])
    expect(await valuesOf(automatic, cookie)).toEqual({ cart: [], user: 'alice' })
    expect(await cost(() => request(automatic, cookie, (session) => session.terminate()))).toEqual([2, 1])
  })

  test('a change that nobody saves costs no write', async () => {
    const cookie = await newVisitor(manual, { user: 'alice' })
    expect(await cost(() => request(manual, cookie, (session) => session.set('user', 'bob')))).toEqual([1, 0])
    expect(await cost(() => request(manual, undefined, (session) => session.set('user', 'bob')))).toEqual([0, 0])
  })

  test('the cookie is renewed only when half of its life is over, and after a new timeout', async () => {
    let cookie = await newVisitor(automatic, { user: 'alice' })
    const read = async () => {
      const answer = await request(automatic, cookie)
      cookie = answer.cookie ?? cookie
      return answer
    }
    clock.advance(1_800_000)
    expect(await cost(read)).toEqual([2, 0])
    clock.advance(60_000)
    expect(await cost(read)).toEqual([2, 1])
    clock.advance(60_000)
    expect(await cost(read)).toEqual([2, 0])
    const retime = (session: Session): void => void (session.timeout = 7200)
    expect(await cost(() => request(automatic, cookie, retime))).toEqual([2, 1])
  })

  test('a page that asks for the session twenty times at once reads it once', async () => {
    const cookie = await newVisitor(automatic, { user: 'alice' })
    const visit = automatic.open(cookie)
    const readTogether = async () => {
      const sessions = await Promise.all(Array.from({ length: 20 }, () => visit.session()))
      expect(new Set(sessions.map((session) => session.get('user')))).toEqual(new Set(['alice']))
      return (await begin(automatic)).respond()
    }
    expect(await cost(readTogether)).toEqual([1, 0])
  })
})

async function countedMemory(): Promise<Counted> {
  const { backend, calls } = recordingBackend(memory())
  return { backend, commands: async () => calls.splice(0).length, stop: async () => undefined }
}

/** The server's own count. */
async function countedRedis(): Promise<Counted> {
  const server = await startRedis()
  const backend = redis({ host: '127.0.0.1', port: server.port })
  // What scripts do inside of the server, and what keeps or sets up a connection, is no command of ours.
  const uncounted = /^cmdstat_(getrange|set|setrange|pexpire|ping|info|config|hello|client|select|command)\b/
  return {
    backend,
    commands: async () => {
      const lines = (await server.command('INFO', 'commandstats')).split('\r\n')
      await server.command('CONFIG', 'RESETSTAT')
      const counts = new Map(lines.map((line) => [line.split(':')[0], Number(/calls=(\d+)/.exec(line)?.[1] ?? 0)]))
      const calls = (command: string): number => counts.get(`cmdstat_${command}`) ?? 0
      // A script reads once and writes at most once; what goes beyond would be a write of the client's own.
      expect(calls('getrange')).toBe(calls('evalsha'))
      expect(calls('set') + calls('setrange')).toBeLessThanOrEqual(calls('evalsha'))
      return [...counts].reduce((sum, [name = '', number]) => (uncounted.test(name) ? sum : sum + number), 0)
    },
    stop: async () => {
      await backend.close?.()
      await server.stop()
    },
  }
}
