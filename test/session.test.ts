import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { SessionTypeError } from '../src/index.js'
import { rejectionOf, thrownBy } from './helpers/unit-errors.js'
import { SECRET, World } from './helpers/unit-world.js'

describe('values', () => {
  test('a new visitor has none', async () => {
    const session = await new World().visitor().session()
    expect(session.get('user')).toBeUndefined()
    expect(session.has('user')).toBe(false)
    expect(session.keys()).toEqual([])
    expect(session.entries()).toEqual([])
    expect(session.delete('user')).toBe(false)
  })

  test('a request sees its own changes at once, stored or not', async () => {
    const visitor = await new World().visitorWith({ a: 1, b: 2, c: 3 })
    const session = await visitor.session()
    session.set('b', 20)
    session.set('d', 4)
    expect(session.delete('a')).toBe(true)
    expect(session.delete('a')).toBe(false)
    expect(session.delete('missing')).toBe(false)
    expect([session.get('a'), session.get('b'), session.get('c'), session.get('d')]).toEqual([undefined, 20, 3, 4])
    expect(['a', 'b', 'c', 'd', 'missing'].map((key) => session.has(key))).toEqual([false, true, true, true, false])
    expect(session.keys()).toEqual(['b', 'c', 'd'])
    expect(session.entries()).toEqual([
      ['b', 20],
      ['c', 3],
      ['d', 4],
    ])
    session.clear()
    session.set('e', 5)
    session.set('a', 10)
    expect(new Map(session.entries())).toEqual(new Map(Object.entries({ a: 10, e: 5 })))
    expect(session.get('c')).toBeUndefined()
    expect(session.has('c')).toBe(false)
  })

  test('the next request sees what was stored', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1, b: 2, c: 3 })
    await visitor.request((session) => {
      session.set('b', { twenty: [20] })
      session.delete('c')
      session.set('d', new Map([['four', 4n]]))
    })
    const session = await visitor.session()
    expect(session.entries()).toEqual([
      ['a', 1],
      ['b', { twenty: [20] }],
      ['d', new Map([['four', 4n]])],
    ])
  })

  test('clear removes what was stored before, and what is set after it stays', async () => {
    const visitor = await new World({ autoSave: true }).visitorWith({ a: 1, b: 2 })
    await visitor.request((session) => {
      session.set('c', 3)
      session.clear()
      session.set('b', 20)
    })
    expect((await visitor.session()).entries()).toEqual([['b', 20]])
  })

  test('undefined is a value', async () => {
    const visitor = await new World().visitorWith({ nothing: undefined })
    const session = await visitor.session()
    expect([session.has('nothing'), session.get('nothing'), session.keys()]).toEqual([true, undefined, ['nothing']])
  })

  test('set copies at once: what happens to the object later is not saved', async () => {
    const visitor = new World({ autoSave: true }).visitor()
    const cart = { items: ['apple'], when: new Date(0) }
    await visitor.request((session) => {
      session.set('cart', cart)
      cart.items.push('pear')
      cart.when.setTime(1)
      expect(session.get('cart')).toEqual({ items: ['apple'], when: new Date(0) })
    })
    expect(await visitor.read('cart')).toEqual({ items: ['apple'], when: new Date(0) })
    expect(Object.isFrozen(cart)).toBe(false)
  })

  test('a change to an object that was read throws, and is not saved', async () => {
    const visitor = await new World({ autoSave: true }).visitorWith({ cart: { items: [{ name: 'apple' }] } })
    await visitor.request((session) => {
      const cart = session.get('cart') as { items: { name: string }[]; more?: string }
      expect(() => cart.items.push({ name: 'pear' })).toThrow(TypeError)
      expect(() => Object.assign(cart.items[0] ?? {}, { name: 'pear' })).toThrow(TypeError)
      expect(() => (cart.more = 'x')).toThrow(TypeError)
      expect(session.needsSave).toBe(false)
    })
    expect(await visitor.read('cart')).toEqual({ items: [{ name: 'apple' }] })
  })

  test.each<[string, (wrap: unknown) => unknown, (read: unknown) => unknown]>([
    ['itself', (value) => value, (read) => read],
    ['in an object', (value) => ({ deep: { value } }), (read) => (read as { deep: { value: unknown } }).deep.value],
    ['in an array', (value) => [value], (read) => (read as unknown[])[0]],
  ])('Date, Map, Set and bytes are fresh copies on each get: %s', async (_, wrap, unwrap) => {
    const visitor = await new World({ autoSave: true }).visitorWith({
      date: wrap(new Date(0)),
      map: wrap(new Map([['a', 1]])),
      set: wrap(new Set([1])),
      bytes: wrap(new Uint8Array(1)),
    })
    await visitor.request((session) => {
      ;(unwrap(session.get('date')) as Date).setTime(1)
      ;(unwrap(session.get('map')) as Map<string, number>).set('b', 2)
      ;(unwrap(session.get('set')) as Set<number>).add(2)
      ;(unwrap(session.get('bytes')) as Uint8Array)[0] = 1
      expect(unwrap(session.get('date'))).toEqual(new Date(0))
      expect(unwrap(session.get('map'))).toEqual(new Map([['a', 1]]))
      expect(unwrap(session.get('set'))).toEqual(new Set([1]))
      expect(unwrap(session.get('bytes'))).toEqual(new Uint8Array(1))
    })
    expect(unwrap(await visitor.read('date'))).toEqual(new Date(0))
    expect(unwrap(await visitor.read('map'))).toEqual(new Map([['a', 1]]))
  })

  test('two requests of a visitor never share an object', async () => {
    const visitor = await new World().visitorWith({ cart: { items: [] } })
    const [one, other] = await Promise.all([visitor.session(), visitor.session()])
    expect(one.get('cart')).toEqual(other.get('cart'))
    expect(one.get('cart')).not.toBe(other.get('cart'))
  })

  test('a value that can not be kept is refused by set, and nothing changes', async () => {
    const visitor = await new World({ autoSave: true }).visitorWith({ cart: 1 })
    await visitor.request((session) => {
      const error = thrownBy(() => session.set('cart', { f: () => 1 }))
      expect(error).toBeInstanceOf(SessionTypeError)
      expect(error).toMatchObject({
        code: 'ERR_VALUE',
        message: expect.stringContaining('session key "cart"') as string,
      })
      expect(session.get('cart')).toBe(1)
      expect(session.needsSave).toBe(false)
    })
    expect(await visitor.read('cart')).toBe(1)
  })

  test('any text is a key', async () => {
    const keys = ['', ' ', 'a\nb', '\t', '"', '\\', '__proto__', 'constructor', 'toString', 'é', '😀', '\ud800', '\0']
    const visitor = new World({ autoSave: true }).visitor()
    await visitor.request((session) => {
      for (const [index, key] of keys.entries()) session.set(key, { [key]: index })
    })
    const session = await visitor.session()
    expect(session.keys()).toEqual(keys)
    for (const [index, key] of keys.entries()) {
      expect(Object.entries(session.get(key) as object)).toEqual([[key, index]])
    }
    expect(session.get('hasOwnProperty')).toBeUndefined()
    expect(({} as Record<string, unknown>)['0']).toBeUndefined()
    expect(Object.getPrototypeOf({})).toBe(Object.prototype)
  })

  test('anything but text is not a key', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ 1: 'one', null: 'null', undefined: 'undefined' })
    await visitor.request(async (untyped) => {
      const session = untyped as unknown as Record<
        'get' | 'set' | 'has' | 'delete',
        (...args: unknown[]) => unknown
      > & {
        update(key: unknown, change: () => unknown): Promise<unknown>
      }
      for (const key of [1, null, undefined, true, Symbol('x'), {}, ['1'], 1n, new String('1'), () => '1']) {
        const errors = [
          thrownBy(() => session.get(key)),
          thrownBy(() => session.set(key, 1)),
          thrownBy(() => session.has(key)),
          thrownBy(() => session.delete(key)),
          await rejectionOf(session.update(key, () => 1)),
        ]
        for (const error of errors) {
          expect(error).toBeInstanceOf(SessionTypeError)
          expect(error).toMatchObject({ code: 'ERR_KEY' })
        }
      }
    })
    expect(world.backend.operations()).toEqual(['read'])
  })

  test('one damaged value is an error for that key only, and is kept as it is', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ good: 1, bad: { a: 1 }, other: 2 })
    const key = await world.tamper(visitor, (text) => text.replace('{"a":1}', '{"a"!1}'))
    await visitor.request((session) => {
      expect(thrownBy(() => session.get('bad'))).toMatchObject({ code: 'ERR_RECORD' })
      expect(thrownBy(() => session.entries())).toMatchObject({ code: 'ERR_RECORD' })
      expect(session.has('bad')).toBe(true)
      expect(session.keys()).toEqual(['good', 'bad', 'other'])
      expect([session.get('good'), session.get('other')]).toEqual([1, 2])
      session.set('good', 10)
    })
    expect(await world.backend.text(key, world.clock.now())).toContain('\n"bad"\t{"a"!1}\n')
    await visitor.request((session) => session.set('bad', 'mended'))
    expect(await visitor.read('bad')).toBe('mended')
  })
})

describe('nothing private shows', () => {
  const ids = /[\w-]{24}|[\w-]{43}/

  test('in JSON, in inspect, in a template or in the console', async () => {
    const world = new World({ autoSave: true, encryptKey: 'canary of an encryption key, 32 or more' })
    const visitor = await world.visitorWith({ 'canary-key': 'canary-value', other: { deep: 'canary-deep' } })
    const request = visitor.open()
    const session = await request.session()
    session.set('canary-new', 'canary-new-value')
    session.get('other')

    const cookieText = visitor.cookieHeader?.split('=')[1] ?? ''
    const { key } = world.backend.lastCall('read')
    const holders = [session, request.visit, world.sessions, [session], { request: { session } }]
    for (const holder of holders) {
      const texts = [
        JSON.stringify(holder),
        inspect(holder, { depth: Infinity }),
        inspect(holder, { depth: Infinity, showHidden: true, getters: true }),
        inspect({ ...holder }, { depth: Infinity }),
      ]
      for (const text of texts) {
        expect(text).not.toContain('canary')
        expect(text).not.toContain(SECRET)
        expect(text).not.toContain(cookieText)
        expect(text).not.toContain(key)
        expect(text).not.toMatch(ids)
      }
    }
    expect(JSON.parse(JSON.stringify(session))).toEqual({ publicId: session.publicId, started: true, needsSave: true })
    expect(inspect(session)).toContain(session.publicId)
    expect(Object.keys(session)).toEqual([])
  })

  test('the public id opens nothing, and is neither the id nor a part of the key', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1 })
    const { publicId } = await visitor.session()
    expect(visitor.cookieHeader).not.toContain(publicId)
    expect(world.backend.lastCall('read').key).not.toContain(publicId)
    const stranger = world.visitor()
    stranger.store(`vishnu=${publicId}; Path=/; Secure`)
    expect(await stranger.read('a')).toBeUndefined()
  })

  test('events and errors of a failing backend name no id, key or value', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 'canary-value' })
    const key = await world.tamper(visitor, (text) => text.slice(0, -3))
    await visitor.session()
    world.backend.failNext('read', 3)
    const error = await rejectionOf(visitor.session())
    expect(world.eventTypes()).toEqual(['corrupt', 'backendError'])
    for (const shown of [world.events, error]) {
      const text = inspect(shown, { depth: Infinity, showHidden: true })
      expect(text).not.toContain('canary')
      expect(text).not.toContain(key)
      expect(text).not.toContain(visitor.cookieHeader?.split('=')[1] ?? '')
    }
  })
})
