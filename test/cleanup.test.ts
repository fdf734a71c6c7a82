import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'libsql'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Backend, Entry, Expiry, Sweepable } from '../src/backend.js'
import { memory } from '../src/backends/memory.js'
import { redis } from '../src/backends/redis.js'
import { sqlite, type SqliteDatabase } from '../src/backends/sqlite.js'
import type { ConfigError, SessionEvent } from '../src/index.js'
import { createSessions, type Sessions } from '../src/sessions.js'
import { sweepLaws } from '../src/testing/sweep-laws.js'
import { manualClock } from './helpers/clock.js'
import { freePort } from './helpers/free-port.js'

const dir = mkdtempSync(join(tmpdir(), 'vishnu-cleanup-'))
afterAll(() => rmSync(dir, { recursive: true }))

let names = 0
const newFile = (): string => join(dir, `${names++}.sqlite`)
const newKey = (): string => String(names++).padEnd(43, 'k')
const VALUE = new TextEncoder().encode('value')
const [SECOND, HOUR] = [1000, 3_600_000]

const sweepable: [name: string, open: () => Backend][] = [
  ['memory', () => memory()],
  ['SQLite', () => sqlite({ file: newFile(), synchronous: 'normal' })],
]

describe.each(sweepable)('%s keeps the law:', (_, open) => {
  test.each(sweepLaws(open).map(({ name, check }) => [name, check] as const))('%s', async (_name, check) => {
    expect(await check()).toBeUndefined()
  })
})

type Sweep = (inner: Backend & Sweepable, expiry: Expiry, limit: number) => ReturnType<Sweepable['sweep']>
const faithful: Sweep = (inner, expiry, limit) => inner.sweep(expiry, limit)

/** A backend in memory whose sweep goes wrong. */
function spoiled(sweep: Sweep, countExpired?: Sweepable['countExpired']): Backend & Sweepable {
  const inner = memory() as Backend & Sweepable
  return {
    read: (key, now) => inner.read(key, now),
    create: (key, value, deadline, now) => inner.create(key, value, deadline, now),
    replace: (key, entry, value, deadline, now) => inner.replace(key, entry, value, deadline, now),
    touch: (key, entry, deadline, now) => inner.touch(key, entry, deadline, now),
    delete: (key) => inner.delete(key),
    sweep: (expiry, limit) => sweep(inner, expiry, limit),
    countExpired: countExpired ?? ((expiry) => inner.countExpired(expiry)),
  }
}

/** Looks first and removes later, whatever has happened meanwhile. */
function removesWhatItFoundBefore(): Backend & Sweepable {
  const deadlines = new Map<string, number>()
  const backend = spoiled(async (inner, { now }, limit) => {
    const found = [...deadlines].filter(([, deadline]) => deadline <= now).slice(0, limit)
    await new Promise((resolve) => setImmediate(resolve))
    for (const [key] of found) await inner.delete(key)
    for (const [key] of found) deadlines.delete(key)
    return { deleted: found.length, done: ![...deadlines.values()].some((deadline) => deadline <= now) }
  })
  const remembers = <T extends Entry | string>(key: string, deadline: number, outcome: T): T => {
    if (typeof outcome === 'object' || outcome === 'touched') deadlines.set(key, deadline)
    return outcome
  }
  return {
    ...backend,
    countExpired: async ({ now }) => [...deadlines.values()].filter((deadline) => deadline <= now).length,
    create: async (key, value, deadline, now) =>
      remembers(key, deadline, await backend.create(key, value, deadline, now)),
    replace: async (key, entry, value, deadline, now) =>
      remembers(key, deadline, await backend.replace(key, entry, value, deadline, now)),
    touch: async (key, entry, deadline, now) =>
      remembers(key, deadline, await backend.touch(key, entry, deadline, now)),
  }
}

describe('the laws of a sweep notice one that', () => {
  const mistakes: [mistake: string, open: () => Backend][] = [
    ['is missing', () => ({ ...spoiled(faithful), sweep: undefined }) as unknown as Backend],
    [
      'spares what is at its deadline',
      () => spoiled((inner, { now, ...rest }, limit) => inner.sweep({ ...rest, now: now - 1 }, limit)),
    ],
    [
      'removes what has a millisecond left',
      () => spoiled((inner, { now, ...rest }, limit) => inner.sweep({ ...rest, now: now + 1 }, limit)),
    ],
    [
      'takes every entry for a dormant one',
      () =>
        spoiled((inner, { dormantBefore, now }, limit) =>
          inner.sweep({ dormantBefore, now: Math.max(now, dormantBefore) }, limit),
        ),
    ],
    ['knows no limit', () => spoiled((inner, expiry) => inner.sweep(expiry, Infinity))],
    ['removes one too many', () => spoiled((inner, expiry, limit) => inner.sweep(expiry, limit + 1))],
    [
      'is always done',
      () => spoiled(async (inner, expiry, limit) => ({ ...(await inner.sweep(expiry, limit)), done: true })),
    ],
    [
      'is never done',
      () => spoiled(async (inner, expiry, limit) => ({ ...(await inner.sweep(expiry, limit)), done: false })),
    ],
    [
      'tells its limit for what it has removed',
      () => spoiled(async (inner, expiry, limit) => ({ ...(await inner.sweep(expiry, limit)), deleted: limit })),
    ],
    ['counts wrongly', () => spoiled(faithful, async () => 1)],
    ['removes nothing', () => spoiled(async () => ({ deleted: 0, done: true }))],
    ['looks first and removes later', removesWhatItFoundBefore],
  ]
  test.each(mistakes)('%s', async (_, open) => {
    const broken = []
    for (const { name, check } of sweepLaws(open)) await check().catch(() => broken.push(name))
    expect(broken.length).toBeGreaterThan(0)
  })
})

describe('deleteExpiredSessions', () => {
  const clock = manualClock()
  const secret = 'a secret for tests, and for nothing else'
  const sessionsOn = (backend: Backend, options = {}): Sessions =>
    createSessions({ secret, backend, clock: clock.now, autoSave: true, timeout: 60, ...options })

  async function fill(backend: Backend, count: number, deadline = clock.now()): Promise<void> {
    for (let made = 0; made < count; made++) {
      await backend.create(newKey(), VALUE, deadline, deadline - HOUR)
    }
  }
  const countOf = (backend: Backend): Promise<number> =>
    (backend as Backend & Sweepable).countExpired({ now: clock.now(), dormantBefore: 0 })

  test.each(sweepable)(
    'on %s: resolves to whether none are left, and never removes more than its limit',
    async (_, open) => {
      const backend = open()
      onTestFinished(() => backend.close?.())
      const sessions = sessionsOn(backend)
      await fill(backend, 730)
      await fill(backend, 3, clock.now() + 1)
      expect(await sessions.deleteExpiredSessions({ limit: 1 })).toBe(false)
      expect(await countOf(backend)).toBe(729)
      expect(await sessions.deleteExpiredSessions()).toBe(false)
      expect(await countOf(backend)).toBe(229)
      expect(await sessions.deleteExpiredSessions({ limit: 229 })).toBe(true)
      expect(await sessions.deleteExpiredSessions()).toBe(true)
      clock.advance(1)
      expect(await countOf(backend)).toBe(3)
    },
  )

  test.each(sweepable)(
    'on %s: goes by the millisecond, for sessions and for what is left of a log-out',
    async (_, open) => {
      const backend = open()
      onTestFinished(() => backend.close?.())
      const sessions = sessionsOn(backend)
      const visit = sessions.open(undefined)
      const session = await visit.session()
      session.set('user', 'alice')
      const { append } = await sessions.commit(visit, () => undefined)
      const cookie = append[0]?.[1].split(';')[0]

      clock.advance(60 * SECOND - 1)
      await sessions.deleteExpiredSessions()
      const visitor = sessions.open(cookie)
      expect((await visitor.session()).get('user')).toBe('alice')
      await (await visitor.session()).terminate()
      clock.advance(300 * SECOND - 1)
      expect(await countOf(backend)).toBe(0)
      clock.advance(1)
      expect(await countOf(backend)).toBe(1)
      expect(await sessions.deleteExpiredSessions()).toBe(true)
      expect(await countOf(backend)).toBe(0)
    },
  )

  test('resolves to true at once where the server removes what has expired, without so much as connecting', async () => {
    const events: SessionEvent[] = []
    const backend = redis({ host: '127.0.0.1', port: await freePort() })
    onTestFinished(() => backend.close?.())
    const sessions = sessionsOn(backend, { onEvent: (event: SessionEvent) => events.push(event) })
    expect(await sessions.deleteExpiredSessions()).toBe(true)
    expect(events).toEqual([])
  })

  test('rejects ERR_BACKEND in time if the backend is kept busy, and has removed nothing', async () => {
    const file = newFile()
    const backend = sqlite({ file, synchronous: 'normal' })
    onTestFinished(() => backend.close?.())
    await fill(backend, 3)
    const other = new (Database as unknown as new (file: string) => SqliteDatabase)(file)
    other.exec('BEGIN IMMEDIATE')
    const events: SessionEvent[] = []
    const sessions = sessionsOn(backend, { backendTimeout: 50, onEvent: (event: SessionEvent) => events.push(event) })
    await expect(sessions.deleteExpiredSessions()).rejects.toMatchObject({
      code: 'ERR_BACKEND',
      status: 503,
      message: 'The backend did not finish within 50 ms',
    })
    expect(events.map(({ type }) => type)).toEqual(['backendError'])
    expect(await countOf(backend)).toBe(3)
    other.exec('ROLLBACK')
    other.close()
    expect(await sessions.deleteExpiredSessions()).toBe(true)
  })

  test('rejects ERR_BACKEND, with its cause, for whatever a backend fails with', async () => {
    const cause = new Error('disk I/O error')
    const sessions = sessionsOn(spoiled(() => Promise.reject(cause)))
    await expect(sessions.deleteExpiredSessions()).rejects.toMatchObject({ code: 'ERR_BACKEND', cause })
  })

  const wrong: [options: unknown, problem: RegExp][] = [
    [{ limit: 0 }, /limit must be a whole number of sessions from 1/],
    [{ limit: 1.5 }, /limit must be/],
    [{ limit: '500' }, /limit must be/],
    [{ dormantFor: -1 }, /dormantFor must be a whole number of seconds from 0/],
    [{ dormantFor: Number.NaN }, /dormantFor must be/],
    [{ dormant_for: 60 }, /dormant_for is not an option: did you mean dormantFor\?/],
  ]
  test.each(wrong)('rejects ERR_CONFIG for %o', async (options, problem) => {
    const rejected = sessionsOn(memory()).deleteExpiredSessions(options as object)
    const error = await rejected.then(
      () => undefined,
      (caught: unknown) => caught as ConfigError,
    )
    expect(error).toMatchObject({ code: 'ERR_CONFIG', problems: [expect.stringMatching(problem)] })
  })

  test('takes undefined and null for options that were left out', async () => {
    const options = { limit: undefined, dormantFor: null } as object
    expect(await sessionsOn(memory()).deleteExpiredSessions(options)).toBe(true)
  })
})
