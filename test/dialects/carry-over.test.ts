import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { PlainBackend } from '../../src/backend.js'
import { memory } from '../../src/backends/memory.js'
import { PythonValue, vishnuPython } from '../../src/dialects/vishnu-python.js'
import { cookieCodec } from '../../src/dialects/vishnu-python/cookie.js'
import type { SessionsOptions } from '../../src/index.js'
import { pythonCookie, pythonRecord, shareRedis, type SharedRedis, storedRecord } from '../helpers/python-sharing.js'
import { SECRET, type Visitor, World } from '../helpers/unit-world.js'

const ID = '0123456789abcdef0123456789abcdef'
const SECOND = 1000
const VISITORS = Array.from({ length: 20 }, (_, number) => number)

let shared: SharedRedis
beforeAll(async () => {
  shared = await shareRedis()
})
afterAll(() => shared.stop())
afterEach(() => shared.raw.flushall())

/** A native application that accepts Python's sessions. */
function newWorld(options: Partial<SessionsOptions> = {}, origin: PlainBackend = shared.connect()): World {
  const accept = [{ dialect: vishnuPython(), backend: origin, cookieName: 'python' }]
  return new World({ autoSave: true, accept, ...options })
}

/** A visitor who has only Python's cookie. */
function newcomer(world: World, { name = 'python', secret = SECRET } = {}): Visitor {
  const visitor = world.visitor()
  visitor.store(`${name}=${pythonCookie(ID, secret)}; Path=/; Secure`)
  return visitor
}

function cookieNames(visitor: Visitor): string[] {
  return visitor.jar.all().map(({ name }) => name)
}

/** The backend, and what happens before one of its calls. */
function intercepted(operation: 'read' | 'delete', before: () => unknown): PlainBackend {
  const backend = shared.connect()
  return {
    layout: 'plain',
    read: async (...args) => {
      if (operation === 'read') await before()
      return backend.read(...args)
    },
    create: (...args) => backend.create(...args),
    replace: (...args) => backend.replace(...args),
    delete: async (...args) => {
      if (operation === 'delete') await before()
      return backend.delete(...args)
    },
  }
}

describe('a Python session', () => {
  test('is carried over when its visitor comes: ours from then on, and gone over there', async () => {
    const world = newWorld({ timeout: 600 })
    const start = world.clock.now()
    const values = { user: 'anna', cart: ['tea', 2], since: new Date(start) }
    await shared.raw.set(ID, pythonRecord(values, { expires: start + 60 * SECOND, lastAccessed: start }))
    const visitor = newcomer(world)
    const { append } = await visitor.request((session) => {
      expect(session.entries()).toEqual(Object.entries(values))
    })
    expect(append.map(([, cookie]) => cookie.split('=')[0])).toEqual(['vishnu', 'python'])
    expect(cookieNames(visitor)).toEqual(['vishnu'])
    expect(await shared.raw.dbsize()).toBe(0)

    world.clock.advance(599 * SECOND)
    expect(await visitor.read('user')).toBe('anna')
    expect(world.events).toEqual([])
  })

  test('is one session for 20 first requests at once, and nothing that any of them sets is lost', async () => {
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    const visitors = VISITORS.map(() => newcomer(world))
    await Promise.all(
      visitors.map((visitor, number) =>
        visitor.request(async (session) => {
          expect(session.get('user')).toBe('anna')
          session.set(`key ${number}`, number)
          await session.update('count', (count = 0) => (count as number) + 1)
        }),
      ),
    )
    const publicIds = new Set<string>()
    for (const visitor of visitors) {
      expect(cookieNames(visitor)).toEqual(['vishnu'])
      await visitor.request((session) => {
        publicIds.add(session.publicId)
        expect(session.keys()).toHaveLength(22)
        expect(session.get('count')).toBe(20)
      })
    }
    expect(publicIds.size).toBe(1)
    expect(await shared.raw.dbsize()).toBe(0)
  })

  test('meets itself on servers whose secrets are being changed', async () => {
    const newer = 'another secret of more than 32 characters'
    const origin = { dialect: vishnuPython(), backend: shared.connect(), cookieName: 'python', secret: SECRET }
    const first = new World({ autoSave: true, accept: [origin], secret: [newer, SECRET] })
    const second = new World({ autoSave: true, accept: [origin], secret: [SECRET, newer], backend: first.backend })
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    const visitors = VISITORS.map((number) => newcomer(number % 2 === 0 ? first : second))
    await Promise.all(
      visitors.map((visitor, number) => visitor.request((session) => session.set(`key ${number}`, number))),
    )
    for (const visitor of visitors) {
      await visitor.request((session) => expect(session.keys()).toHaveLength(21))
    }
  })

  test('answers to its old cookie as long as it lives, and not after the log-out', async () => {
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    const visitor = newcomer(world)
    await visitor.request((session) => session.set('cart', 'tea'))
    const old = newcomer(world)
    expect(await old.read('cart')).toBe('tea')
    expect(cookieNames(old)).toEqual(['vishnu'])

    await visitor.request((session) => session.terminate())
    for (const later of [0, 400 * SECOND]) {
      world.clock.advance(later)
      const stranger = newcomer(world)
      const { cookie } = await stranger.request((session) => expect(session.started).toBe(false))
      expect(cookie).toBeUndefined()
    }
  })

  test('is not brought back by a late write of Python when it was logged out here', async () => {
    const world = newWorld()
    const bytes = pythonRecord({ user: 'anna' })
    await shared.raw.set(ID, bytes)
    await newcomer(world).request((session) => session.terminate())
    await shared.raw.set(ID, bytes)
    await newcomer(world).request((session) => expect([session.started, session.keys()]).toEqual([false, []]))
  })

  test('that is logged out by the request that carries it loses both cookies', async () => {
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    const visitor = newcomer(world)
    await visitor.request((session) => session.terminate())
    expect(cookieNames(visitor)).toEqual([])
    expect(await newcomer(world).read('user')).toBeUndefined()
    expect(await shared.raw.dbsize()).toBe(0)
  })

  test('can be given a new id at once', async () => {
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    const visitor = newcomer(world)
    await visitor.request((session) => session.regenerate())
    expect(await visitor.read('user')).toBe('anna')
    expect(await newcomer(world).read('user')).toBeUndefined()
  })

  test('that has ended, or is none, makes a new visitor and nothing is stored', async () => {
    const world = newWorld()
    const expires = world.clock.now()
    const bytes = pythonRecord({ user: 'anna' }, { expires, lastAccessed: expires - SECOND })
    await shared.raw.set(ID, bytes)
    const { append } = await newcomer(world).request((session) => expect(session.started).toBe(false))
    expect(append).toEqual([])
    expect(await shared.raw.getBuffer(ID)).toEqual(bytes)
    expect(world.backend.operations()).toEqual(['read'])
  })

  test('does not matter to a visitor who has a session of ours', async () => {
    const world = newWorld()
    const visitor = await world.visitorWith({ user: 'bert' })
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    visitor.store(`python=${pythonCookie(ID)}; Path=/; Secure`)
    await visitor.request((session) => {
      expect(session.get('user')).toBe('bert')
      session.timeout = 60
    })
    expect(cookieNames(visitor)).toEqual(['vishnu', 'python'])
    expect(await shared.raw.dbsize()).toBe(1)
  })

  test('may have a cookie of the same name, another secret and encryption', async () => {
    const [secret, encryptKey] = ['the secret of the Python application', 'the encryptKey of the Python application']
    const accept = [{ dialect: vishnuPython(), backend: shared.connect(), secret, encryptKey }]
    const world = newWorld({ accept })
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    const codec = cookieCodec({ secrets: [secret], encryptKeys: [encryptKey], random: (size) => new Uint8Array(size) })
    const visitor = world.visitor()
    visitor.store(`vishnu=${codec.seal(ID)}; Path=/; Secure`)
    const { append } = await visitor.request((session) => expect(session.get('user')).toBe('anna'))
    expect(append).toHaveLength(1)
    expect(await visitor.read('user')).toBe('anna')
    const forger = newcomer(world, { name: 'vishnu' })
    await forger.request((session) => expect(session.started).toBe(false))
    expect(world.eventTypes()).toEqual(['rejectedCookie'])
  })

  test('begins its absolute timeout when it is carried over', async () => {
    const world = newWorld({ absoluteTimeout: 3600 })
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }, { lastAccessed: world.clock.now() - 7200 * SECOND }))
    const visitor = newcomer(world)
    for (const advance of [0, 3599 * SECOND]) {
      world.clock.advance(advance)
      expect(await visitor.read('user')).toBe('anna')
    }
    world.clock.advance(SECOND)
    expect(await visitor.read('user')).toBeUndefined()
  })
})

describe('values', () => {
  test('that only Python has become what comes nearest', async () => {
    const world = newWorld()
    const values = {
      pair: new PythonValue('tuple', [1, 2]),
      frozen: new PythonValue('frozenset', new Set(['a'])),
      price: new PythonValue('Decimal', '19.90'),
      day: new PythonValue('date', '2026-02-28'),
      bytes: Uint8Array.of(0, 255),
      big: 2n ** 70n,
    }
    await shared.raw.set(ID, pythonRecord(values))
    await newcomer(world).request((session) => {
      expect(session.get('pair')).toEqual([1, 2])
      expect(session.get('frozen')).toEqual(new Set(['a']))
      expect(session.get('price')).toBe('19.90')
      expect(session.get('day')).toBe('2026-02-28')
      expect(session.get('bytes')).toEqual(Uint8Array.of(0, 255))
      expect(session.get('big')).toBe(2n ** 70n)
    })
    expect(world.events).toEqual([])
  })

  test('that cannot be carried over are told of, by an event for each that names the key', async () => {
    const world = newWorld()
    // {'zone': timezone(timedelta(hours=1)), 'user': 'anna', 7: 'seven'}
    const zone = 'cdatetime\ntimezone\n(cdatetime\ntimedelta\n(I0\nI3600\nI0\ntRtR'
    const pickle =
      `cvishnu.backend.client\nPickleableSession\n)\x81}(S'_expires'\nNS'_last_accessed'\nNS'_data'\n` +
      `(dS'zone'\n${zone}sS'user'\nS'anna'\nsI7\nS'seven'\nsub.`
    await shared.raw.set(ID, Buffer.from(`\x80\x02${pickle}`, 'latin1'))
    await newcomer(world).request((session) => expect(session.keys()).toEqual(['user']))
    expect(world.eventTypes()).toEqual(['unsaved', 'unsaved'])
    expect(world.events[0]?.message).toContain('"zone"')
    expect(world.events[1]?.message).toContain('1 of its values')
  })
})

describe('failures on the way', () => {
  test('of either backend are an outage, not a new visitor, and the next request carries all of it over', async () => {
    let isDown = true
    const failing = (): void => {
      if (isDown) throw new Error('connection lost')
    }
    for (const operation of ['read', 'delete'] as const) {
      isDown = true
      const world = newWorld({ backendTimeout: 100 }, intercepted(operation, failing))
      await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
      await expect(newcomer(world).read('user')).rejects.toMatchObject({ code: 'ERR_BACKEND', status: 503 })
      expect(await shared.raw.exists(ID)).toBe(1)
      // Meanwhile the visitor went on over there.
      await shared.raw.set(ID, pythonRecord({ user: 'bert' }))
      isDown = false
      expect(await newcomer(world).read('user')).toBe('bert')
      expect(await shared.raw.exists(ID)).toBe(0)
    }
    const world = newWorld()
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    world.backend.failNext('create', 1)
    world.backend.loseNextReply('create')
    expect(await newcomer(world).read('user')).toBe('anna')
  })

  test('a write of Python that comes between the copy and the removal is carried over too', async () => {
    let writes = 0
    const world = newWorld(
      {},
      intercepted('delete', () => ++writes < 3 && shared.raw.set(ID, pythonRecord({ writes }))),
    )
    await shared.raw.set(ID, pythonRecord({ writes }))
    expect(await newcomer(world).read('writes')).toBe(2)
    expect(await shared.raw.exists(ID)).toBe(0)
  })

  test('a lost reply to the removal changes nothing', async () => {
    const backend = shared.connect()
    const losing: PlainBackend = {
      ...intercepted('read', () => undefined),
      delete: async (...args) => {
        await backend.delete(...args)
        throw new Error('connection lost')
      },
    }
    const world = newWorld({}, losing)
    await shared.raw.set(ID, pythonRecord({ user: 'anna' }))
    expect(await newcomer(world).read('user')).toBe('anna')
  })
})

describe('the way back', () => {
  /** A native application, and one with Python's dialect that accepts the native sessions. */
  function newWorlds(): { native: World; python: World } {
    const native = new World({ autoSave: true, cookieName: 'native', timeout: 3600 })
    const accept = [{ backend: native.backend, cookieName: 'native' }]
    const clock = native.clock.now
    const python = new World({ ...shared.options(), autoSave: true, timeout: 3600, clock, accept })
    return { native, python }
  }

  async function loggedIn({ native }: { native: World }): Promise<() => Visitor> {
    const visitor = await native.visitorWith({ user: 'anna', cart: ['tea'] })
    const cookie = visitor.cookieHeader ?? ''
    return () => {
      const clone = native.visitor()
      clone.store(`${cookie}; Path=/; Secure`)
      return clone
    }
  }

  async function request(
    world: World,
    visitor: Visitor,
    act: (session: Awaited<ReturnType<Visitor['session']>>) => unknown,
  ) {
    const visit = world.sessions.open(visitor.cookieHeader)
    await act(await visit.session())
    const { append } = await world.sessions.commit(visit, () => undefined)
    for (const [, cookie] of append) visitor.store(cookie)
  }

  test('is the same: 20 first requests at once end in one record that Python reads', async () => {
    const worlds = newWorlds()
    const newVisitor = await loggedIn(worlds)
    const visitors = VISITORS.map(newVisitor)
    await Promise.all(
      visitors.map((visitor, number) =>
        request(worlds.python, visitor, (session) => session.set(`key ${number}`, number)),
      ),
    )
    const [id = '', ...others] = await shared.raw.keys('*')
    expect(others).toEqual([])
    const record = await storedRecord(shared.raw, id)
    expect([...(record?.values.keys() ?? [])]).toHaveLength(22)
    expect(record?.expires).toBe(worlds.native.clock.now() + 3600 * SECOND)
    for (const visitor of visitors) expect(visitor.cookieHeader).toBe(`vishnu=${pythonCookie(id)}`)
    await request(worlds.native, newVisitor(), (session) => expect(session.started).toBe(false))
  })

  test('a session that was logged out over there while it was copied stays out', async () => {
    const worlds = newWorlds()
    const visitor = (await loggedIn(worlds))()
    const { reached, release } = worlds.native.backend.parkNext('replace')
    const carrying = request(worlds.python, visitor, (session) => expect(session.started).toBe(false))
    await reached
    expect(await shared.raw.dbsize()).toBe(1)
    const logOut = worlds.native.sessions.open(visitor.cookieHeader)
    await (await logOut.session()).terminate()
    release()
    await carrying
    expect(await shared.raw.dbsize()).toBe(0)
    expect(visitor.cookieHeader).toContain('native=')
  })

  test('what Python cannot hold stays behind, and is told of', async () => {
    const worlds = newWorlds()
    const visitor = await worlds.native.visitorWith({ user: 'anna', nothing: undefined })
    await request(worlds.python, visitor, (session) => expect(session.keys()).toEqual(['user']))
    expect(worlds.python.eventTypes()).toEqual(['unsaved'])
    expect(worlds.python.events[0]?.message).toContain('"nothing"')
  })
})

test('close() closes the backends of accepted sessions too, and resolves when it is done', async () => {
  let closed = 0
  const close = (): Promise<void> => nextTurn().then(() => void closed++)
  const origin = { ...intercepted('read', () => undefined), close }
  const world = newWorld({ backend: memory() }, origin)
  await world.sessions.close()
  expect(closed).toBe(1)
})

test('close() closes them all, whichever of them fails, and tells of that', async () => {
  let closed = 0
  const backend = Object.assign(memory(), { close: () => Promise.reject(new Error('not today')) })
  const origin = { ...intercepted('read', () => undefined), close: async () => void closed++ }
  await expect(newWorld({ backend }, origin).sessions.close()).rejects.toThrow('not today')
  expect(closed).toBe(1)
})
