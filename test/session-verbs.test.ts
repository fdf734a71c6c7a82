import { describe, expect, test } from 'vitest'
import { SessionError, SessionTypeError, TIMEOUT_SESSION } from '../src/index.js'
import { rejectionOf, thenable, thrownBy } from './helpers/unit-errors.js'
import { World } from './helpers/unit-world.js'

const refusal = (): SessionError => new SessionError('ERR_BACKEND', 'The backend refused the connection')
const increment = (value: unknown): number => ((value as number | undefined) ?? 0) + 1

describe('save', () => {
  test('resolves when the changes are stored, before the response and whatever autoSave says', async () => {
    const visitor = await new World({ autoSave: false }).visitorWith({ a: 1, b: 2 })
    const session = await visitor.session()
    session.set('a', 10)
    session.delete('b')
    session.set('c', 3)
    await session.save()
    expect((await visitor.session()).entries()).toEqual([
      ['a', 10],
      ['c', 3],
    ])
  })

  test('keeps what it was not told to change, even if the request has read nothing', async () => {
    const visitor = await new World().visitorWith({ user: 'ada' })
    await visitor.request(async (session) => {
      session.timeout = 60
      await session.save()
    })
    expect(await visitor.read('user')).toBe('ada')
  })

  test('may be called as often as there are changes, and costs nothing without', async () => {
    const world = new World()
    const visitor = world.visitor()
    await visitor.request(async (session) => {
      for (let round = 1; round <= 3; round++) {
        session.set('round', round)
        await session.save()
        await session.save()
      }
    })
    expect(world.backend.operations()).toEqual(['create', 'replace', 'replace'])
    expect(await visitor.read('round')).toBe(3)
  })

  test('loses no change that is made while it is under way', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1, b: 2, c: 3 })
    const request = visitor.open()
    const session = await request.session()
    session.set('a', 10)
    session.set('d', 4)
    session.timeout = 60
    const parked = world.backend.parkNext('replace')
    const saved = session.save()
    await parked.reached
    session.set('a', 100)
    session.delete('b')
    session.set('e', 5)
    session.timeout = 120
    parked.release()
    await saved
    expect(session.needsSave).toBe(true)
    expect([session.get('a'), session.has('b'), session.timeout]).toEqual([100, false, 120])
    await request.answer()
    const next = await visitor.session()
    expect(next.entries()).toEqual([
      ['a', 100],
      ['c', 3],
      ['d', 4],
      ['e', 5],
    ])
    expect(next.timeout).toBe(120)
  })

  test('nor a clear that is made meanwhile', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1 })
    const request = visitor.open()
    const session = await request.session()
    session.set('b', 2)
    const parked = world.backend.parkNext('replace')
    const saved = session.save()
    await parked.reached
    session.clear()
    session.set('c', 3)
    parked.release()
    await saved
    expect(session.entries()).toEqual([['c', 3]])
    await request.answer()
    expect((await visitor.session()).entries()).toEqual([['c', 3]])
  })

  test.each([
    ['a new session', 'create'],
    ['a stored one', 'replace'],
  ] as const)('of %s keeps the changes when it fails, and can be repeated', async (_, operation) => {
    const world = new World()
    const visitor = operation === 'create' ? world.visitor() : await world.visitorWith({ a: 1, b: 2 })
    const request = visitor.open()
    const session = await request.session()
    session.set('a', 10)
    session.delete('b')
    session.timeout = 60
    world.backend.failNext(operation, 1, refusal())
    expect(await rejectionOf(session.save())).toMatchObject({ code: 'ERR_BACKEND', status: 503, statusCode: 503 })
    expect([session.get('a'), session.has('b'), session.timeout, session.needsSave]).toEqual([10, false, 60, true])
    await session.save()
    expect(session.needsSave).toBe(false)
    const { cookie } = await request.answer()
    expect(cookie).toContain('; Max-Age=60;')
    const next = await visitor.session()
    expect([next.entries(), next.timeout]).toEqual([[['a', 10]], 60])
  })

  test('a session that could not be stored gets no cookie', async () => {
    const world = new World()
    const request = world.visitor().open()
    const session = await request.session()
    session.set('a', 1)
    world.backend.failNext('create', 1, refusal())
    await rejectionOf(session.save())
    expect((await request.answer()).cookie).toBeUndefined()
  })

  test('a commit that fails rejects, and sends no cookie', async () => {
    const world = new World({ autoSave: true })
    const request = world.visitor().open()
    ;(await request.session()).set('a', 1)
    world.backend.failNext('create', 1, refusal())
    expect(await rejectionOf(request.answer())).toMatchObject({ code: 'ERR_BACKEND' })
  })
})

describe('autoSave off', () => {
  test('drops what was not saved, with one event', async () => {
    const world = new World({ autoSave: false })
    const visitor = await world.visitorWith({ a: 1 })
    await visitor.request(async (session) => {
      session.set('a', 2)
      await session.save()
      session.set('a', 3)
      session.set('b', 4)
      session.delete('a')
    })
    expect(world.eventTypes()).toEqual(['unsaved'])
    expect(world.events[0]?.message).toContain('call session.save(), or turn autoSave on')
    expect((await visitor.session()).entries()).toEqual([['a', 2]])
  })
})

describe('update', () => {
  test('stores at once, whatever autoSave says, and resolves to the new value', async () => {
    const visitor = await new World({ autoSave: false }).visitorWith({ count: 1, other: 'x' })
    const session = await visitor.session()
    expect(await session.update('count', increment)).toBe(2)
    expect(session.get('count')).toBe(2)
    expect((await visitor.session()).entries()).toEqual([
      ['count', 2],
      ['other', 'x'],
    ])
  })

  test('gives a new visitor a session', async () => {
    const visitor = new World().visitor()
    const { cookie } = await visitor.request(async (session) => {
      expect(await session.update('cart', (cart = []) => [...(cart as string[]), 'apple'])).toEqual(['apple'])
    })
    expect(cookie).toBeDefined()
    expect(await visitor.read('cart')).toEqual(['apple'])
  })

  test('counts right when many requests count at once', async () => {
    const visitor = await new World().visitorWith({ count: 0 })
    const sessions = await Promise.all(Array.from({ length: 20 }, () => visitor.session()))
    const counts = await Promise.all(sessions.map((session) => session.update('count', increment)))
    expect(new Set(counts).size).toBe(20)
    expect(await visitor.read('count')).toBe(20)
  })

  test('counts right within one request, too', async () => {
    const visitor = new World().visitor()
    await visitor.request(async (session) => {
      const counts = await Promise.all(Array.from({ length: 20 }, () => session.update('count', increment)))
      expect(counts).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
    })
    expect(await visitor.read('count')).toBe(20)
  })

  test('sees what this request has set or deleted, and leaves its other changes to be saved', async () => {
    const world = new World({ autoSave: false })
    const visitor = await world.visitorWith({ a: 1, b: 2, c: 3 })
    await visitor.request(async (session) => {
      session.set('a', 10)
      session.delete('b')
      session.set('c', 30)
      expect(await session.update('a', increment)).toBe(11)
      expect(await session.update('b', (value) => value ?? 'deleted')).toBe('deleted')
      expect([session.get('c'), session.needsSave]).toEqual([30, true])
      expect((await visitor.session()).entries()).toEqual([
        ['a', 11],
        ['b', 'deleted'],
        ['c', 3],
      ])
    })
    expect(world.eventTypes()).toEqual(['unsaved'])
    expect(await visitor.read('c')).toBe(3)
  })

  test('sees nothing after a clear, and outlives it', async () => {
    const visitor = await new World({ autoSave: true }).visitorWith({ a: 1, b: 2 })
    await visitor.request(async (session) => {
      session.clear()
      expect(await session.update('a', (value) => value ?? 'cleared')).toBe('cleared')
      expect(session.entries()).toEqual([['a', 'cleared']])
      expect((await visitor.session()).get('b')).toBe(2)
    })
    expect((await visitor.session()).entries()).toEqual([['a', 'cleared']])
  })

  test.each([
    ['another value', 1, 100],
    ['the value that was there before the update', 1, 1],
  ])('a set that comes later wins, though the update is still under way: %s', async (_, before, later) => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ count: 0 })
    const request = visitor.open()
    const session = await request.session()
    session.set('count', before)
    const parked = world.backend.parkNext('replace')
    const updated = session.update('count', increment)
    await parked.reached
    session.set('count', later)
    parked.release()
    expect(await updated).toBe(before + 1)
    expect(session.get('count')).toBe(later)
    await request.answer()
    expect(await visitor.read('count')).toBe(later)
  })

  const failures: [string, () => unknown, object][] = [
    ['returns a promise', () => Promise.resolve(1), { name: 'SessionTypeError', code: 'ERR_VALUE' }],
    ['returns what can be awaited', () => thenable(() => undefined), { name: 'SessionTypeError', code: 'ERR_VALUE' }],
    ['returns what can not be kept', () => ({ f: () => 1 }), { name: 'SessionTypeError', code: 'ERR_VALUE' }],
    [
      'throws',
      () => {
        throw new RangeError('no more')
      },
      { name: 'RangeError', message: 'no more' },
    ],
  ]
  test.each(failures)('stores nothing if the function %s', async (_, change, expected) => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ count: 1 })
    await visitor.request(async (session) => {
      session.set('other', 2)
      const error = await rejectionOf(session.update('count', change))
      expect(error).toBeInstanceOf(Error)
      expect(error).toMatchObject(expected)
      expect(world.backend.operations()).toEqual(['read'])
      expect([session.get('count'), session.get('other')]).toEqual([1, 2])
    })
    expect(await visitor.read('count')).toBe(1)
    const stranger = world.visitor()
    world.backend.reset()
    await stranger.request((session) => rejectionOf(session.update('count', change)))
    expect(world.backend.operations()).toEqual([])
    expect(stranger.cookieHeader).toBeUndefined()
  })

  test('a value in place of the function is a TypeError, with a hint', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ a: 1 })
    const session = await visitor.session()
    const error = await rejectionOf(session.update('a', 2 as never))
    expect(error).toBeInstanceOf(SessionTypeError)
    expect(error).toMatchObject({ code: 'ERR_VALUE', message: expect.stringContaining('use set()') as string })
    expect(world.backend.operations()).toEqual(['read'])
  })

  test('a promise is a TypeError, with a hint', async () => {
    const session = await new World().visitor().session()
    const error = await rejectionOf(session.update('count', async () => 1))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toBeInstanceOf(SessionTypeError)
    expect((error as Error).message).toContain('synchronous')
  })

  test('runs again on the newer value when another request was faster', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ list: ['a'] })
    const [one, other] = await Promise.all([visitor.session(), visitor.session()])
    const seen: unknown[] = []
    await other.update('list', (list) => [...(list as string[]), 'b'])
    await one.update('list', (list) => {
      seen.push(list)
      return [...(list as string[]), 'c']
    })
    expect(seen).toEqual([['a'], ['a', 'b']])
    expect(await visitor.read('list')).toEqual(['a', 'b', 'c'])
    expect(world.eventTypes()).toEqual(['conflict'])
  })
})

describe('timeout', () => {
  test('is the configured one until the session gets its own', async () => {
    const world = new World({ timeout: 600, autoSave: true })
    const [ada, bob] = [await world.visitorWith({ a: 1 }), await world.visitorWith({ a: 1 })]
    expect((await ada.session()).timeout).toBe(600)
    await ada.request((session) => {
      session.timeout = 60
      expect(session.timeout).toBe(60)
    })
    expect((await ada.session()).timeout).toBe(60)
    expect((await bob.session()).timeout).toBe(600)
    expect((await world.visitor().session()).timeout).toBe(600)
  })

  test('that changes is told to the browser at once, long before the cookie would be renewed', async () => {
    const visitor = await new World({ timeout: 600, autoSave: true }).visitorWith({ a: 1 })
    const { cookie } = await visitor.request((session) => (session.timeout = 500))
    expect(cookie).toContain('; Max-Age=500;')
  })

  test('may be set before anything was read', async () => {
    const visitor = await new World({ timeout: 600, autoSave: true }).visitorWith({ a: 1 })
    await visitor.request((session) => {
      session.timeout = 60
      session.get('a')
      session.set('a', 2)
    })
    expect((await visitor.session()).timeout).toBe(60)
  })

  test('TIMEOUT_SESSION ends the cookie with the browser session', async () => {
    const visitor = await new World({ timeout: 600, autoSave: true }).visitorWith({ a: 1 })
    const { cookie } = await visitor.request((session) => (session.timeout = TIMEOUT_SESSION))
    expect(cookie).toMatch(/^vishnu=[^;]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    expect((await visitor.session()).timeout).toBe(0)
  })

  const bad = [
    '60',
    '',
    null,
    undefined,
    true,
    -1,
    1.5,
    Number.NaN,
    Infinity,
    1e13,
    [60],
    {},
    60n,
    Symbol('x'),
    Object.create(null),
  ]

  test('anything but whole seconds is refused, and changes nothing for anybody', async () => {
    const world = new World({ timeout: 600, autoSave: true })
    const visitor = await world.visitorWith({ a: 1 })
    await visitor.request((session) => {
      for (const value of bad as number[]) {
        const error = thrownBy(() => (session.timeout = value))
        expect(error).toBeInstanceOf(SessionTypeError)
        expect(error).toMatchObject({ code: 'ERR_TIMEOUT' })
        expect([session.timeout, session.needsSave]).toEqual([600, false])
      }
    })
    expect(world.backend.operations()).toEqual(['read'])
    expect((await world.visitor().session()).timeout).toBe(600)
  })
})

describe('an outage', () => {
  test('is an error and not a new visitor; no cookie is sent or cleared, and the next try may succeed', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ user: 'ada' })
    const request = visitor.open()
    world.backend.failNext('read', 3)
    expect(await rejectionOf(request.session())).toMatchObject({ code: 'ERR_BACKEND', status: 503 })
    const session = await request.session()
    expect(session.get('user')).toBe('ada')
    expect((await request.answer()).cookie).toBeUndefined()

    const failed = visitor.open()
    world.backend.failNext('read', 3)
    await rejectionOf(failed.session())
    const { cookie, set } = await failed.answer()
    expect(cookie).toBeUndefined()
    expect(set).toContainEqual(['vary', 'Cookie'])
    expect(await visitor.read('user')).toBe('ada')
  })

  test('that is over at once is not noticed', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ count: 1 })
    for (const operation of ['read', 'replace'] as const) {
      world.backend.failNext(operation)
      await visitor.request((session) => session.set('count', increment(session.get('count'))))
    }
    world.backend.loseNextReply('replace')
    await visitor.request((session) => session.update('count', increment))
    expect(await visitor.read('count')).toBe(4)
    expect(world.events).toEqual([])
  })
})
