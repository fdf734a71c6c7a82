import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { memory } from '../../src/backends/memory.js'
import { sqlite } from '../../src/backends/sqlite.js'
import { PythonValue, vishnuPython } from '../../src/dialects/vishnu-python.js'
import { createSessions, type Session, type SessionsOptions, TIMEOUT_SESSION } from '../../src/index.js'
import { hasPython } from '../helpers/python.js'
import { bytesOf, pickles, recorded } from '../helpers/python-fixtures.js'
import { pythonCookie, pythonRecord, shareRedis, type SharedRedis, storedRecord } from '../helpers/python-sharing.js'
import { SECRET, type Visitor, World } from '../helpers/unit-world.js'

const ID = '0123456789abcdef0123456789abcdef'
const SECOND = 1000
const DAY = 86_400 * SECOND

let shared: SharedRedis
beforeAll(async () => {
  shared = await shareRedis()
})
afterAll(() => shared.stop())
afterEach(() => shared.raw.flushall())

function newWorld(options: Partial<SessionsOptions> = {}): World {
  return new World({ ...shared.options(), autoSave: true, ...options })
}

/** A visitor with the cookie that Python has sent, or would have. */
function visitorOf(world: World, id = ID): Visitor {
  const visitor = world.visitor()
  visitor.store(`vishnu=${pythonCookie(id)}; Path=/; Secure`)
  return visitor
}

async function idOf(): Promise<string> {
  const ids = await shared.raw.keys('*')
  expect(ids).toHaveLength(1)
  return ids[0] ?? ''
}

function data(record: Awaited<ReturnType<typeof storedRecord>>): Record<string, unknown> {
  const values = record?.values
  return Object.fromEntries([...(values?.keys() ?? [])].map((key) => [key, values?.get(key)?.decode()]))
}

describe('what Python has stored', () => {
  const stored = pickles.records.filter(({ expected }) => expected === 'decode')

  test('is read and, when a key is set, kept with its class, whatever version of Python wrote it', async () => {
    const world = newWorld()
    expect(stored.length).toBeGreaterThan(500)
    for (const fixture of stored) {
      await shared.raw.set(ID, bytesOf(fixture))
      const before = await storedRecord(shared.raw, ID)
      world.clock.set((before?.expires ?? (before?.lastAccessed ?? Date.UTC(2026, 0, 1)) + DAY) - SECOND)
      await visitorOf(world).request((session) => {
        expect([fixture.id, ...session.keys()]).toEqual([fixture.id, ...(before?.values.keys() ?? [])])
        session.set('a new key', 1)
      })
      await visitorOf(world).request((session) => void session.delete('a new key'))

      const after = await storedRecord(shared.raw, ID)
      const [was, is] = [before, after].map((record) => recorded(record?.values.data.entries ?? null))
      expect([fixture.id, after?.className, is]).toEqual([fixture.id, fixture.className, was])
    }
    expect(world.events).toEqual([])
  })

  test('that is not touched is not written: its bytes stay as they are', async () => {
    const world = newWorld()
    const bytes = pythonRecord({ user: 'anna' }, { expires: world.clock.now() + DAY, lastAccessed: world.clock.now() })
    await shared.raw.set(ID, bytes)
    world.deploy({ ...shared.options(), timeout: 86_400 })
    expect(await visitorOf(world).read('user')).toBe('anna')
    expect(await shared.raw.getBuffer(ID)).toEqual(bytes)
  })

  test('with a class that is not allowed is left as it is, and its visitor counts as new', async () => {
    const world = newWorld()
    const hostile = pickles.others.find(({ expected }) => expected === 'refused')
    const bytes = hostile ? bytesOf(hostile) : Buffer.alloc(0)
    await shared.raw.set(ID, bytes)
    await visitorOf(world).request((session) => {
      expect(session.started).toBe(false)
      session.set('user', 'eve')
    })
    expect(world.eventTypes()).toEqual(['corrupt'])
    expect(await shared.raw.getBuffer(ID)).toEqual(bytes)
    expect(await shared.raw.dbsize()).toBe(2)
  })

  test('can be changed to values that only Python has', async () => {
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({}))
    await visitorOf(world).request((session) => session.set('price', new PythonValue('Decimal', '19.90')))
    expect(await visitorOf(world).read('price')).toEqual(new PythonValue('Decimal', '19.90'))
  })
})

describe.skipIf(!hasPython)('with CPython', () => {
  test('each side sees what the other has set, log-in and log-out included', async () => {
    const world = newWorld({ clock: Date.now })
    const visitor = world.visitor()
    await visitor.request((session) => session.set('user', 'anna'))
    const id = await idOf()
    expect(visitor.cookieHeader).toBe(`vishnu=${pythonCookie(id)}`)

    expect(await shared.python(id, 'get', 'user')).toBe('anna')
    expect(await shared.python(id, 'set', 'cart', '["tea", 2, {"ä€😀": null}]')).toBe(null)
    await visitor.request((session) => {
      expect(session.get('cart')).toEqual(['tea', 2, { 'ä€😀': null }])
      session.set('visits', 1)
    })
    expect(await shared.python(id, 'get', 'visits')).toBe(1)
    expect(await shared.python(id, 'get', 'user')).toBe('anna')

    await shared.python(id, 'terminate')
    expect(await visitor.read('user')).toBeUndefined()
    await shared.python(id, 'set', 'user', '"bert"')
    await visitor.request((session) => session.terminate())
    expect(await shared.python(id, 'get', 'user')).toBe('absent')
    expect(visitor.cookieHeader).toBeUndefined()
  })

  test('the time to live that Python strips is not needed: the record says when it ends', async () => {
    const world = newWorld({ clock: Date.now, timeout: 3600 })
    const visitor = world.visitor()
    await visitor.request((session) => session.set('user', 'anna'))
    const id = await idOf()
    expect(await shared.raw.pttl(id)).toBeGreaterThan(3600 * SECOND)
    await shared.python(id, 'get', 'user')
    expect(await shared.raw.pttl(id)).toBe(-1)
    const expires = (await storedRecord(shared.raw, id))?.expires ?? 0
    const late = newWorld({ clock: () => expires })
    expect(await visitorOf(late, id).read('user')).toBeUndefined()
    const inTime = newWorld({ clock: () => expires - 1 })
    expect(await visitorOf(inTime, id).read('user')).toBe('anna')
  })
})

describe('deadlines', () => {
  test('are kept to the millisecond, though Python never checks them', async () => {
    const world = newWorld({ timeout: 60 })
    const expires = world.clock.now() + 1
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }, { expires, lastAccessed: world.clock.now() }))
    const inTime = visitorOf(world).open()
    expect((await inTime.session()).get('user')).toBe('anna')
    world.clock.set(expires)
    await visitorOf(world).request((session) => expect(session.started).toBe(false))
    await expect((await inTime.session()).update('user', () => 'bert')).rejects.toMatchObject({
      code: 'ERR_SESSION_GONE',
    })
    expect(data(await storedRecord(shared.raw, ID))).toEqual({ user: 'anna' })
  })

  test('slide with every use, at most once per touchInterval, and the record says so', async () => {
    const world = newWorld({ timeout: 600 })
    const visitor = world.visitor()
    await visitor.request((session) => session.set('user', 'anna'))
    const id = await idOf()
    const start = world.clock.now()
    world.clock.advance(59 * SECOND)
    await visitor.read('user')
    expect(await storedRecord(shared.raw, id)).toMatchObject({ expires: start + 600 * SECOND, lastAccessed: start })
    world.clock.advance(SECOND)
    await visitor.read('user')
    expect(await storedRecord(shared.raw, id)).toMatchObject({
      expires: start + 660 * SECOND,
      lastAccessed: start + 60 * SECOND,
    })
    world.clock.advance(60 * SECOND)
    const request = visitor.open()
    const session = await request.session()
    await request.answer()
    await session.update('user', () => 'bert')
    expect(world.events).toEqual([])
    world.clock.advance(600 * SECOND)
    expect(await visitor.read('user')).toBeUndefined()
  })

  test('of sessions without a timeout count from the last use, and the record has none', async () => {
    const world = newWorld()
    const used = world.clock.now()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }, { lastAccessed: used }))
    world.clock.set(used + DAY - 1)
    expect(await visitorOf(world).read('user')).toBe('anna')
    expect(await storedRecord(shared.raw, ID)).toMatchObject({ expires: undefined, lastAccessed: used + DAY - 1 })
    world.clock.advance(DAY)
    expect(await visitorOf(world).read('user')).toBeUndefined()
  })

  test('that Python gave no timeout stay without one, whatever is configured here', async () => {
    const world = newWorld({ timeout: 600 })
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }, { lastAccessed: world.clock.now() }))
    const visitor = visitorOf(world)
    for (let day = 0; day < 3; day++) {
      world.clock.advance(DAY - 1)
      expect(await visitor.read('user')).toBe('anna')
    }
    expect(await storedRecord(shared.raw, ID)).toMatchObject({ expires: undefined })
  })

  test('a record that was never used has no deadline, until it is', async () => {
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    world.clock.advance(10_000 * DAY)
    expect(await visitorOf(world).read('user')).toBe('anna')
    expect(await storedRecord(shared.raw, ID)).toMatchObject({ expires: undefined, lastAccessed: world.clock.now() })
  })

  test("a session's own timeout lasts until Python writes the record", async () => {
    const world = newWorld({ timeout: 600 })
    const visitor = world.visitor()
    const setTimeouts = async (seconds: number): Promise<void> => {
      await visitor.request((session) => {
        session.set('user', 'anna')
        session.timeout = seconds
      })
    }
    await setTimeouts(60)
    const timeouts: number[] = []
    const note = (session: Session): void => void timeouts.push(session.timeout)
    await visitor.request(note)
    await setTimeouts(TIMEOUT_SESSION)
    await visitor.request(note)
    expect(timeouts).toEqual([60, 0])
    await setTimeouts(60)
    const id = await idOf()
    const { expires, lastAccessed, values } = (await storedRecord(shared.raw, id)) ?? {}
    await shared.raw.set(id, pythonRecord({ user: values?.get('user')?.decode() }, { expires, lastAccessed }))
    await visitor.request(note)
    expect(timeouts).toEqual([60, 0, 600])
  })
})

describe('requests of several servers at once', () => {
  test('8 servers add 100 each, and not one is lost', async () => {
    // At one and the same time, by a clock that stands still: the records differ in nothing but who wrote them.
    const clock = (): number => Date.UTC(2026, 0, 1)
    await shared.raw.set(ID, pythonRecord({ count: 0 }, { lastAccessed: clock() }))
    const count = async (): Promise<void> => {
      const world = newWorld({ clock })
      const session = await visitorOf(world).session()
      for (let turn = 0; turn < 100; turn++) await session.update('count', (number) => (number as number) + 1)
    }
    await Promise.all(Array.from({ length: 8 }, count))
    expect(data(await storedRecord(shared.raw, ID))).toEqual({ count: 800 })
  })

  test('two that change different keys both win', async () => {
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    const [one, other] = [visitorOf(world).open(), visitorOf(world).open()]
    for (const request of [one, other]) (await request.session()).set(request === one ? 'one' : 'other', true)
    await Promise.all([one.answer(), other.answer()])
    expect(data(await storedRecord(shared.raw, ID))).toEqual({ user: 'anna', one: true, other: true })
  })

  test('what is logged out is not brought back by a request that began before', async () => {
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    const straggler = visitorOf(world).open()
    ;(await straggler.session()).set('late', true)
    await visitorOf(world).request((session) => session.terminate())
    expect((await straggler.answer()).cookie).toBeUndefined()
    expect(world.eventTypes()).toEqual(['gone'])
    expect(await shared.raw.dbsize()).toBe(0)
  })

  test('a new id takes along what was stored under the old one meanwhile, and the old record is gone', async () => {
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }, { className: 'PicklableSession' }))
    const login = visitorOf(world).open()
    ;(await login.session()).regenerate()
    await visitorOf(world).request((session) => session.set('cart', 'tea'))
    await login.answer()
    const id = await idOf()
    expect(id).not.toBe(ID)
    expect(id).toMatch(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/)
    const record = await storedRecord(shared.raw, id)
    expect(data(record)).toEqual({ user: 'anna', cart: 'tea' })
    expect(record?.className).toBe('PicklableSession')
  })
})

describe('a reply that was lost', () => {
  test('of a create, a replace and a delete makes nothing happen twice', async () => {
    const backend = shared.connect()
    let isLosing = true
    const losing = async <T>(outcome: Promise<T>): Promise<T> => {
      const reply = await outcome
      isLosing = !isLosing
      if (isLosing) return reply
      throw new Error('connection lost')
    }
    const world = newWorld({
      backend: {
        layout: 'plain',
        read: (...args) => backend.read(...args),
        create: (...args) => losing(backend.create(...args)),
        replace: (...args) => losing(backend.replace(...args)),
        delete: (...args) => losing(backend.delete(...args)),
      },
    })
    const visitor = world.visitor()
    await visitor.request((session) => session.update('count', (count = 0) => (count as number) + 1))
    for (let turn = 0; turn < 5; turn++) {
      await visitor.request((session) => session.update('count', (count = 0) => (count as number) + 1))
    }
    expect(await visitor.read('count')).toBe(6)
    expect(await shared.raw.dbsize()).toBe(1)
    await visitor.request((session) => session.terminate())
    expect(await shared.raw.dbsize()).toBe(0)
  })
})

describe('the cookie', () => {
  test('of several valid ones the last counts, as in Python, and a planted one behind it changes nothing', async () => {
    const world = newWorld()
    const other = ID.replace('0', 'f')
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    await shared.raw.set(other, pythonRecord({ user: 'bert' }))
    const read = async (...values: string[]): Promise<unknown> => {
      const visit = world.sessions.open(values.map((value) => `vishnu=${value}`).join('; '))
      return (await visit.session()).get('user')
    }
    expect(await read(pythonCookie(other), pythonCookie(ID))).toBe('anna')
    expect(await read(pythonCookie(ID), pythonCookie(other), 'planted')).toBe('bert')
    expect(world.eventTypes()).toEqual(['duplicateCookie', 'rejectedCookie', 'duplicateCookie'])
  })

  test("can leave SameSite out, as Python's does", async () => {
    const world = newWorld({ sameSite: 'omit' })
    const { cookie } = await world.visitor().request((session) => session.set('user', 'anna'))
    expect(cookie).toBe(`vishnu=${pythonCookie(await idOf())}; Path=/; HttpOnly; Secure`)
  })
})

describe('a configuration error says what to do', () => {
  const problem = (options: Partial<SessionsOptions>): string => {
    try {
      createSessions({ secret: SECRET, backend: memory(), ...options })
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }

  test('if the layout does not fit the dialect', () => {
    for (const backend of [memory(), sqlite({ file: ':memory:' })]) {
      expect(problem({ dialect: vishnuPython(), backend })).toContain("pass it layout: 'plain'")
    }
    expect(problem({ backend: shared.connect() })).toContain('leave layout out, or pass one')
    expect(problem({ dialect: vishnuPython(), backend: shared.connect() })).toBe('')
    expect(problem({ accept: [{ dialect: vishnuPython(), backend: memory() }] })).toContain('accept[0].backend must')
  })

  test('if the dialect is none, or has no place for an option', () => {
    expect(problem({ dialect: 'python' as never })).toContain('dialect must be a function')
    expect(problem({ dialect: (() => ({})) as never })).toContain('dialect must be made by its function')
    expect(problem({ dialect: vishnuPython as never })).toContain('is not an option')
    const options = { dialect: vishnuPython(), backend: shared.connect() }
    expect(problem({ ...options, absoluteTimeout: 60 })).toContain('absoluteTimeout has no place')
    expect(problem({ sameSite: 'omit' })).toContain('sameSite must be one of lax, strict, none')
    expect(problem({ sameSite: 'omit', ...options })).toBe('')
  })

  test('if an option of the dialect or of accepted sessions is wrong', () => {
    expect(() => vishnuPython({ sessionClass: 'Session' as never })).toThrow('PickleableSession or PicklableSession')
    expect(() => vishnuPython({ secret: SECRET } as never)).toThrow('secret is not an option')
    expect(problem({ accept: {} as never })).toContain('accept must be a list')
    const wrong = { backend: memory(), secret: 'short', cookie_name: 'a' }
    expect(problem({ accept: [wrong as never] })).toBe(
      'createSessions: accept[0].secret must have at least 32 characters, this one has 5; ' +
        'accept[0].cookie_name is not an option: did you mean cookieName?',
    )
  })
})
