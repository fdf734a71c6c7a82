import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { PlainBackend } from '../../src/backend.js'
import { redis } from '../../src/backends/redis.js'
import { vishnuPython } from '../../src/dialects/vishnu-python.js'
import { createSessions, type Sessions } from '../../src/index.js'
import { manualClock } from '../helpers/clock.js'
import { pythonRecord, shareRedis, type SharedRedis } from '../helpers/python-sharing.js'
import { clientNames, openReady, type OpenClient } from '../helpers/redis-clients.js'
import { SECRET } from '../helpers/unit-world.js'

const { now } = manualClock()
const DAY = 86_400_000

let shared: SharedRedis
beforeAll(async () => {
  shared = await shareRedis()
})
afterAll(() => shared.stop())
afterEach(() => shared.raw.flushall())

function sessionsOn(backend: PlainBackend): Sessions {
  return createSessions({ secret: SECRET, dialect: vishnuPython(), backend, clock: now })
}

/** A record as Python leaves it: without a time to live. */
async function store(times: { expires?: number; lastAccessed?: number }, prefix = ''): Promise<string> {
  const id = randomUUID().replaceAll('-', '')
  await shared.raw.set(prefix + id, pythonRecord({ user: 'ann' }, times))
  return id
}

async function idsLeft(): Promise<string[]> {
  return (await shared.raw.keys('*')).toSorted()
}

describe.each([...clientNames, 'a connection of its own'])('over %s, a clean-up', (name) => {
  const port = (): number => shared.raw.options.port ?? 0
  let opened: OpenClient | undefined
  beforeAll(async () => {
    if (clientNames.includes(name)) opened = await openReady(name, port())
  })
  afterAll(() => opened?.close())

  test('removes what Python has left: the expired, and what has no end and was not used for long', async () => {
    const backend = redis({
      layout: 'plain',
      ...(opened ? { client: opened.client } : { host: '127.0.0.1', port: port() }),
    })
    const kept = [
      await store({ expires: now() + 1, lastAccessed: now() - 9 * DAY }),
      await store({ lastAccessed: now() - DAY }),
      await store({}),
    ]
    await store({ expires: now(), lastAccessed: now() })
    await store({ lastAccessed: now() - DAY - 1 })
    expect(await sessionsOn(backend).deleteExpiredSessions()).toBe(true)
    expect(await idsLeft()).toEqual(kept.toSorted())

    await sessionsOn(backend).deleteExpiredSessions({ dormantFor: 2 * 86_400 })
    expect(await idsLeft()).toEqual(kept.toSorted())
    if (!opened) await backend.close?.()
  })
})

test('a clean-up goes through thousands of records, removes no more than its limit, and says whether it is done', async () => {
  for (let number = 0; number < 1500; number++) await store({ expires: number % 3 === 0 ? now() : now() + DAY })
  const sessions = sessionsOn(shared.connect())
  expect(await sessions.deleteExpiredSessions({ limit: 120 })).toBe(false)
  expect(await idsLeft()).toHaveLength(1380)
  expect(await sessions.deleteExpiredSessions({ limit: 5000 })).toBe(true)
  expect(await idsLeft()).toHaveLength(1000)
})

test('several clean-ups at once remove everything once', async () => {
  for (let number = 0; number < 300; number++) await store({ expires: now() })
  const done = await Promise.all(
    [1, 2, 3].map(() => sessionsOn(shared.connect()).deleteExpiredSessions({ limit: 999 })),
  )
  expect(done).toEqual([true, true, true])
  expect(await idsLeft()).toEqual([])
})

test('a session that is renewed between the look and the removal stays', async () => {
  const id = await store({ expires: now() })
  const inner = shared.connect()
  const backend: PlainBackend = {
    layout: 'plain',
    read: (key, time) => inner.read(key, time),
    create: (key, value, deadline, time) => inner.create(key, value, deadline, time),
    replace: (key, entry, value, deadline, time) => inner.replace(key, entry, value, deadline, time),
    list: (cursor) => inner.list!(cursor),
    delete: async (key, entry) => {
      await shared.raw.set(key, pythonRecord({ user: 'ann' }, { expires: now() + DAY }))
      return inner.delete(key, entry)
    },
  }
  expect(await sessionsOn(backend).deleteExpiredSessions()).toBe(true)
  expect(await idsLeft()).toEqual([id])
})

test('what is no session is left alone, and so is what lies outside of the prefix', async () => {
  await shared.raw.hset('a hash', 'field', 'value')
  await shared.raw.set('text', 'not a pickle')
  await store({ expires: now() })
  const prefix = 'app[1]*:'
  await store({ expires: now() }, prefix)
  const before = await idsLeft()
  const backend = redis({ layout: 'plain', prefix, host: '127.0.0.1', port: shared.raw.options.port ?? 0 })
  expect(await sessionsOn(backend).deleteExpiredSessions()).toBe(true)
  await backend.close?.()
  expect(await idsLeft()).toEqual(before.filter((key) => !key.startsWith(prefix)))
})
