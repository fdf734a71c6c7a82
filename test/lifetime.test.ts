import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Session, SessionError, type SessionsOptions, TIMEOUT_SESSION } from '../src/index.js'
import { CookieJar } from './helpers/cookie-jar.js'
import { rejectionOf } from './helpers/unit-errors.js'
import { asyncCounterexample } from './helpers/unit-property.js'
import { SECRET, Visitor, World } from './helpers/unit-world.js'

const SECOND = 1000
const DAY = 86_400

async function start(
  options: Partial<SessionsOptions>,
  ownTimeout?: number,
): Promise<{ world: World; visitor: Visitor; begin: number }> {
  const world = new World(options)
  const visitor = await world.visitorWith({ user: 'ada' })
  if (ownTimeout !== undefined) {
    await visitor.request(async (session) => {
      session.timeout = ownTimeout
      await session.save()
    })
    world.backend.reset()
  }
  return { world, visitor, begin: world.clock.now() }
}

/** A visitor whose browser keeps the cookie for ever: what ends then is the session. */
function hoarder(world: World, visitor: Visitor): Visitor {
  const other = new Visitor(world, new CookieJar(() => 0))
  other.store(`${visitor.cookieHeader}; Path=/; Secure`)
  return other
}

/** Whether the session lives. Looks without a commit, so that nothing is prolonged. */
async function lives(visitor: Visitor): Promise<boolean> {
  return (await visitor.session()).get('user') === 'ada'
}

/** Whether the session's last moment is the millisecond before this one. */
async function endsAt(world: World, visitor: Visitor, end: number): Promise<boolean> {
  const other = hoarder(world, visitor)
  world.clock.set(end - 1)
  const livesBefore = await lives(other)
  world.clock.set(end)
  return livesBefore && !(await lives(other))
}

const use = (): undefined => undefined

describe('a session without a use', () => {
  test.each<[string, Partial<SessionsOptions>, number | undefined, number]>([
    ['ends after the timeout', { timeout: 600 }, undefined, 600],
    ['ends after one second', { timeout: 1 }, undefined, 1],
    ['ends after a day without a timeout', {}, undefined, DAY],
    ['ends after the browser session timeout without a timeout', { browserSessionTimeout: 10 }, undefined, 10],
    [
      'has no use for the browser session timeout with a timeout',
      { timeout: 20, browserSessionTimeout: 10 },
      undefined,
      20,
    ],
    ['ends after its own timeout, if that is shorter', { timeout: 600 }, 60, 60],
    ['ends after its own timeout, if that is longer', { timeout: 600 }, 6000, 6000],
    ['ends after its own timeout where there is none', {}, 60, 60],
    [
      'ends after the browser session timeout if it wants no timeout',
      { timeout: 600, browserSessionTimeout: 700 },
      TIMEOUT_SESSION,
      700,
    ],
    ['ends after the absolute timeout, if that is shorter', { timeout: 600, absoluteTimeout: 60 }, undefined, 60],
    ['ends after the absolute timeout without a timeout', { absoluteTimeout: 60 }, undefined, 60],
    ['ends after the absolute timeout, whatever timeout it has been given', { absoluteTimeout: 60 }, 600, 60],
  ])('%s', async (_, options, ownTimeout, seconds) => {
    const { world, visitor, begin } = await start(options, ownTimeout)
    expect(await endsAt(world, visitor, begin + seconds * SECOND)).toBe(true)
  })
})

describe('a session in use', () => {
  test('ends a timeout after the last use, whether that only read or wrote', async () => {
    const { world, visitor, begin } = await start({ timeout: 600, autoSave: true })
    const other = hoarder(world, visitor)
    for (const second of [300, 899, 1200]) {
      world.clock.set(begin + second * SECOND)
      await other.request(use)
    }
    world.clock.set(begin + 1799 * SECOND + 1)
    await other.request((session) => session.set('more', 1))
    expect(await endsAt(world, other, begin + 2399 * SECOND + 1)).toBe(true)
  })

  test('keeps its own timeout', async () => {
    const { world, visitor, begin } = await start({ timeout: 600 }, 60)
    world.clock.advance(30 * SECOND)
    await visitor.request(use)
    expect(await endsAt(world, visitor, begin + 90 * SECOND)).toBe(true)
  })

  test('ends at its absolute deadline, whatever it does until then', async () => {
    const { world, visitor, begin } = await start({ timeout: 600, absoluteTimeout: 3600, autoSave: true })
    const uses: ((session: Session) => unknown)[] = [
      use,
      (session) => session.set('more', 1),
      (session) => session.regenerate(),
      (session) => session.update('more', () => 2),
      (session) => (session.timeout = 7200),
    ]
    for (let turn = 0; turn < 14; turn++) {
      await visitor.request(uses[turn % uses.length] ?? use)
      world.clock.advance(250 * SECOND)
    }
    const writes = world.backend.calls.filter(({ value }) => !value?.includes(' gone '))
    expect(Math.max(...writes.map(({ deadline }) => deadline ?? 0))).toBe(begin + 3600 * SECOND)
    expect(await endsAt(world, visitor, begin + 3600 * SECOND)).toBe(true)
  })

  test('gets a new absolute deadline when the visitor has proved who they are, and only then', async () => {
    for (const [authenticated, end] of [
      [false, 3600],
      [true, 1800 + 3600],
    ] as const) {
      const { world, visitor, begin } = await start({ timeout: 7200, absoluteTimeout: 3600 })
      world.clock.set(begin + 1800 * SECOND)
      await visitor.request((session) => session.regenerate({ authenticated }))
      expect(await endsAt(world, visitor, begin + end * SECOND)).toBe(true)
    }
  })

  test('may end up to the touch interval early, but never late', async () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 200_000 }), { minLength: 1, maxLength: 12 })
    const property = fc.asyncProperty(gaps, fc.constantFrom(undefined, 0, 5, 100), async (steps, touchInterval) => {
      const { world, visitor } = await start({ timeout: 600, touchInterval })
      const other = hoarder(world, visitor)
      for (const step of steps) {
        world.clock.advance(step)
        await other.request(use)
      }
      const lastUse = world.clock.now()
      world.clock.set(lastUse + (600 - (touchInterval ?? 60)) * SECOND - (touchInterval === 0 ? 1 : 0))
      expect(await lives(other)).toBe(true)
      world.clock.set(lastUse + 600 * SECOND)
      expect(await lives(other)).toBe(false)
    })
    expect(await asyncCounterexample(property, 60)).toBeUndefined()
  })
})

describe('a touch', () => {
  test.each<[string, Partial<SessionsOptions>, number | undefined, number]>([
    ['a minute after the last', { timeout: 3600 }, undefined, 60],
    ['a tenth of a short timeout after the last', { timeout: 100 }, undefined, 10],
    ['a tenth of a second after the last', { timeout: 1 }, undefined, 0.1],
    ['a minute after the last, in a browser session', {}, undefined, 60],
    ['a tenth of the time after the last, in a short browser session', { browserSessionTimeout: 50 }, undefined, 5],
    ["a tenth of the session's own timeout after the last", { timeout: 3600 }, 100, 10],
    ['the configured interval after the last', { timeout: 3600, touchInterval: 7 }, undefined, 7],
    [
      'the configured interval after the last, though it is long',
      { timeout: 3600, touchInterval: 1800 },
      undefined,
      1800,
    ],
    ['every time, if so configured', { timeout: 3600, touchInterval: 0 }, undefined, 0.001],
  ])('is due %s', async (_, options, ownTimeout, seconds) => {
    const { world, visitor, begin } = await start(options, ownTimeout)
    const other = hoarder(world, visitor)
    const operationsAt = async (time: number): Promise<string[]> => {
      world.clock.set(time)
      world.backend.reset()
      await other.request(use)
      return world.backend.operations()
    }
    for (const last of [begin, begin + seconds * SECOND]) {
      expect(await operationsAt(last + seconds * SECOND - 1)).toEqual(['read'])
      expect(await operationsAt(last + seconds * SECOND)).toEqual(['read', 'touch'])
    }
  })

  test('is not due after a write, which has moved the end already', async () => {
    const { world, visitor } = await start({ timeout: 600, autoSave: true })
    world.clock.advance(300 * SECOND)
    await visitor.request((session) => session.set('more', 1))
    expect(world.backend.operations()).toEqual(['read', 'replace'])
    world.clock.advance(59_999)
    world.backend.reset()
    await visitor.request(use)
    expect(world.backend.operations()).toEqual(['read'])
  })

  test('is not due where the absolute deadline has been reached', async () => {
    const { world, visitor, begin } = await start({ timeout: 600, absoluteTimeout: 700 })
    const other = hoarder(world, visitor)
    world.clock.set(begin + 200 * SECOND)
    await other.request(use)
    expect(world.backend.lastCall('touch').deadline).toBe(begin + 700 * SECOND)
    world.backend.reset()
    world.clock.set(begin + 690 * SECOND)
    await other.request(use)
    expect(world.backend.operations()).toEqual(['read'])
  })

  test('that fails does not fail the request, sends no cookie, and loses nothing', async () => {
    const { world, visitor, begin } = await start({ timeout: 600 })
    world.clock.advance(599 * SECOND)
    world.backend.failNext('touch', 1, new SessionError('ERR_BACKEND', 'no'))
    const { cookie } = await hoarder(world, visitor).request(use)
    expect(cookie).toBeUndefined()
    expect(world.eventTypes()).toEqual(['backendError'])
    expect(await endsAt(world, visitor, begin + 600 * SECOND)).toBe(true)
  })

  test('that fails is not tried again by the same request, which some adapters commit twice', async () => {
    const { world, visitor } = await start({ timeout: 600 })
    world.clock.advance(599 * SECOND)
    const request = hoarder(world, visitor).open()
    await request.session()
    world.backend.failNext('touch', 1, new SessionError('ERR_BACKEND', 'no'))
    await request.answer()
    await request.answer()
    expect(world.backend.operations()).toEqual(['read', 'touch'])
  })

  test('that comes after a log-out sends no cookie, and brings nothing back', async () => {
    const { world, visitor } = await start({ timeout: 600 })
    world.clock.advance(400 * SECOND)
    const request = hoarder(world, visitor).open()
    await request.session()
    const parked = world.backend.parkNext('touch')
    const answer = request.answer()
    await parked.reached
    await visitor.request((session) => session.terminate())
    parked.release()
    expect((await answer).cookie).toBeUndefined()
    expect(await lives(hoarder(world, visitor))).toBe(false)
  })

  test('that comes after a newer write changes nothing', async () => {
    const { world, visitor } = await start({ timeout: 600 })
    world.clock.advance(100 * SECOND)
    const request = visitor.open()
    await request.session()
    const parked = world.backend.parkNext('touch')
    const answer = request.answer()
    await parked.reached
    world.clock.advance(100 * SECOND)
    await visitor.request((session) => session.update('more', () => 1))
    const written = world.clock.now()
    parked.release()
    await answer
    expect(world.events).toEqual([])
    expect(await endsAt(world, visitor, written + 600 * SECOND)).toBe(true)
  })
})

describe('a session that has ended', () => {
  const either: [string, Partial<SessionsOptions>][] = [
    ['its timeout', { timeout: 600 }],
    ['its absolute timeout', { timeout: 6000, absoluteTimeout: 600 }],
  ]

  test.each(either)('after %s is an anonymous visitor, who gets a new id', async (_, options) => {
    const { world, visitor } = await start({ ...options, autoSave: true })
    const other = hoarder(world, visitor)
    const oldKey = await other.storeKey()
    world.clock.advance(600 * SECOND)
    const read = await other.request((session) => {
      expect([session.started, session.keys()]).toEqual([false, []])
    })
    expect(read.cookie).toBeUndefined()
    const { cookie } = await other.request((session) => session.set('user', 'ada'))
    expect(cookie).toBeDefined()
    expect(world.events).toEqual([])
    expect(await other.storeKey()).not.toBe(oldKey)
    expect(await lives(other)).toBe(true)
    expect(await world.backend.text(oldKey, world.clock.now())).toBeUndefined()
  })

  test.each(either)('after %s, between a read and a write, is gone', async (_, options) => {
    const { world, visitor } = await start({ ...options, autoSave: true })
    const other = hoarder(world, visitor)
    const [committing, saving, updating] = [other.open(), other.open(), other.open()]
    for (const request of [committing, saving, updating]) (await request.session()).set('user', 'ada again')
    world.clock.advance(600 * SECOND)
    expect((await committing.answer()).cookie).toBeUndefined()
    expect(world.eventTypes()).toEqual(['gone'])
    expect(await rejectionOf((await saving.session()).save())).toMatchObject({ code: 'ERR_SESSION_GONE' })
    const update = (await updating.session()).update('user', () => 'ada again')
    expect(await rejectionOf(update)).toMatchObject({ code: 'ERR_SESSION_GONE' })
    expect(await lives(other)).toBe(false)
  })

  test('can still be terminated', async () => {
    const { world, visitor } = await start({ timeout: 600 })
    const request = hoarder(world, visitor).open()
    const session = await request.session()
    world.clock.advance(600 * SECOND)
    await session.terminate()
    expect((await request.answer()).cookie).toMatch(/^vishnu=; Max-Age=0;/)
  })

  test('by a log-out is remembered for 300 seconds, longer than any request that began before', async () => {
    const { world, visitor } = await start({ timeout: 60, autoSave: true })
    const [other, early] = [hoarder(world, visitor), hoarder(world, visitor).open()]
    ;(await early.session()).set('user', 'ada')
    await visitor.request((session) => session.terminate())
    world.clock.advance(299_999)
    expect((await other.request((session) => session.set('user', 'eve'))).cookie).toBeUndefined()
    expect(world.eventTypes()).toEqual(['gone'])
    world.clock.advance(1)
    expect((await early.answer()).cookie).toBeUndefined()
    expect(world.eventTypes()).toEqual(['gone', 'gone'])
    expect(await lives(other)).toBe(false)
    expect((await other.request((session) => session.set('user', 'ada'))).cookie).toBeDefined()
  })
})

describe('the cookie', () => {
  const maxAge = (line: string | undefined): number | undefined => {
    const text = /; Max-Age=(\d+);/.exec(line ?? '')?.[1]
    return text === undefined ? undefined : Number(text)
  }
  const issue = async (options: Partial<SessionsOptions>, ownTimeout?: number): Promise<string | undefined> => {
    const world = new World({ ...options, autoSave: true })
    const { cookie } = await world.visitor().request((session) => {
      session.set('user', 'ada')
      if (ownTimeout !== undefined) session.timeout = ownTimeout
    })
    return cookie
  }

  test.each<[string, Partial<SessionsOptions>, number | undefined, number | undefined]>([
    ['the timeout', { timeout: 600 }, undefined, 600],
    ["the session's own timeout", { timeout: 600 }, 60, 60],
    ['the absolute timeout, if that is shorter', { timeout: 600, absoluteTimeout: 300 }, undefined, 300],
    ['400 days, since browsers keep none for longer', { timeout: 500 * DAY }, undefined, 400 * DAY],
    ['no time at all: a browser session', {}, undefined, undefined],
    ['no time at all: a browser session with an absolute timeout', { absoluteTimeout: 300 }, undefined, undefined],
    ['no time at all: a browser session by its own choice', { timeout: 600 }, TIMEOUT_SESSION, undefined],
  ])('lives for %s', async (_, options, ownTimeout, seconds) => {
    const cookie = await issue(options, ownTimeout)
    expect(cookie).toMatch(/^vishnu=/)
    expect(maxAge(cookie)).toBe(seconds)
    const expires = seconds && new Date(Date.UTC(2026, 0, 1) + seconds * SECOND).toUTCString()
    expect(/; Expires=([^;]+);/.exec(cookie ?? '')?.[1]).toBe(expires)
  })

  test('never outlives the absolute deadline, to the second', async () => {
    const { world, visitor, begin } = await start({ timeout: 600, absoluteTimeout: 1000, autoSave: true })
    world.clock.set(begin + 700_400)
    const { cookie } = await hoarder(world, visitor).request((session) => session.regenerate())
    expect(cookie).toBeUndefined()
    world.clock.set(begin + 500_400)
    const earlier = await hoarder(world, visitor).request((session) => session.regenerate())
    expect(maxAge(earlier.cookie)).toBe(499)
  })

  test('is sent again only when less than half of its life is left', async () => {
    for (const [elapsed, isDue] of [
      [300_000, false],
      [300_001, true],
    ] as const) {
      const { world, visitor } = await start({ timeout: 600, autoSave: true })
      world.clock.advance(elapsed)
      const { cookie } = await visitor.request(use)
      expect(world.backend.operations()).toEqual(['read', 'touch'])
      expect(maxAge(cookie)).toBe(isDue ? 600 : undefined)
      const write = await visitor.request((session) => session.set('more', 1))
      expect(write.cookie).toBeUndefined()
    }
  })

  test('is sent again with a write as with a touch', async () => {
    const { world, visitor } = await start({ timeout: 600, autoSave: true })
    world.clock.advance(301 * SECOND)
    const { cookie } = await visitor.request((session) => session.set('more', 1))
    expect(maxAge(cookie)).toBe(600)
  })

  test('is not sent again unless the session was prolonged', async () => {
    const { world, visitor } = await start({ timeout: 600, touchInterval: 400 })
    world.clock.advance(399_999)
    expect((await visitor.request(use)).cookie).toBeUndefined()
    world.clock.advance(1)
    expect(maxAge((await visitor.request(use)).cookie)).toBe(600)
  })

  test('is not sent again and again when the absolute deadline is near', async () => {
    const { world, visitor, begin } = await start({ timeout: 600, absoluteTimeout: 700, autoSave: true })
    const cookies: (number | undefined)[] = []
    for (const second of [301, 400, 500, 550, 600, 690, 699]) {
      world.clock.set(begin + second * SECOND)
      cookies.push(maxAge((await visitor.request((session) => session.set('at', second))).cookie))
    }
    expect(cookies).toEqual([undefined, undefined, undefined, 150, undefined, undefined, undefined])
  })

  test('of a browser session is sent once', async () => {
    const { world, visitor } = await start({ autoSave: true })
    for (let hour = 0; hour < 48; hour++) {
      world.clock.advance(3600 * SECOND)
      expect((await visitor.request((session) => session.set('hour', hour))).cookie).toBeUndefined()
    }
  })

  test('keeps an active visitor in for as long as there is a visit in every timeout', async () => {
    const { world, visitor } = await start({ timeout: 600 })
    for (let visit = 0; visit < 50; visit++) {
      world.clock.advance(500 * SECOND)
      await visitor.request((session) => expect(session.get('user')).toBe('ada'))
    }
    world.clock.advance(600 * SECOND)
    expect(visitor.cookieHeader).toBeUndefined()
  })
})

describe('a cookie that an old key has sealed', () => {
  const NEW_SECRET = 'another secret of at least 32 characters'

  test.each<[string, Partial<SessionsOptions>]>([
    ['a new secret in front', { secret: [NEW_SECRET, SECRET] }],
    ['encryption turned on', { encryptKey: NEW_SECRET }],
  ])('is sealed anew at its next use, even one that only reads: %s', async (_, change) => {
    for (const options of [{}, { timeout: 600 }, { timeout: 600, touchInterval: 600 }]) {
      const { world, visitor } = await start(options)
      const old = visitor.clone()
      world.deploy({ ...options, ...change })
      const { cookie } = await visitor.request((session) => expect(session.get('user')).toBe('ada'))
      expect(cookie).toBeDefined()
      expect(visitor.cookieHeader).not.toBe(old.cookieHeader)
      expect((await visitor.request(use)).cookie).toBeUndefined()
      expect(await lives(visitor)).toBe(true)
      expect(await lives(old)).toBe(true)
      expect(await visitor.storeKey()).toBe(await old.storeKey())
      world.deploy({ ...options, secret: change.secret?.[0] ?? SECRET, encryptKey: change.encryptKey })
      expect(await lives(visitor)).toBe(true)
    }
  })

  test('is not sealed anew where the touch has failed', async () => {
    const { world, visitor } = await start({})
    world.deploy({ secret: [NEW_SECRET, SECRET] })
    world.backend.failNext('touch', 1, new SessionError('ERR_BACKEND', 'no'))
    expect((await visitor.request(use)).cookie).toBeUndefined()
    expect((await visitor.request(use)).cookie).toBeDefined()
  })

  test('opens nothing once its key is gone', async () => {
    const { world, visitor } = await start({})
    world.deploy({ secret: NEW_SECRET })
    expect(await lives(visitor)).toBe(false)
    expect(world.backend.operations()).toEqual([])
  })
})

describe('a change of the configuration', () => {
  test('a shorter timeout counts from the next use on', async () => {
    const { world, visitor } = await start({ timeout: 6000 })
    world.deploy({ timeout: 60 })
    world.clock.advance(SECOND)
    const used = world.clock.now()
    await visitor.request(use)
    expect(await endsAt(world, visitor, used + 60 * SECOND)).toBe(true)
  })

  test('a longer timeout counts from the next use on, and for the cookie too', async () => {
    const { world, visitor } = await start({ timeout: 600 })
    world.deploy({ timeout: 6000 })
    world.clock.advance(SECOND)
    const used = world.clock.now()
    expect((await visitor.request(use)).cookie).toContain('; Max-Age=6000;')
    expect(await endsAt(world, visitor, used + 6000 * SECOND)).toBe(true)
  })

  test('a first timeout gives the cookie its end, and no more timeout takes it away', async () => {
    const { world, visitor } = await start({})
    world.deploy({ timeout: 600 })
    expect((await visitor.request(use)).cookie).toContain('; Max-Age=600;')
    world.deploy({})
    expect((await visitor.request(use)).cookie).toMatch(/^vishnu=[^;]+; Path=\/; HttpOnly/)
    expect((await visitor.request(use)).cookie).toBeUndefined()
  })

  test("a session's own timeout stays", async () => {
    const { world, visitor } = await start({ timeout: 600 }, 120)
    world.deploy({ timeout: 60 })
    world.clock.advance(30 * SECOND)
    const used = world.clock.now()
    await visitor.request(use)
    expect(await endsAt(world, visitor, used + 120 * SECOND)).toBe(true)
  })

  test('a first absolute timeout counts from the beginning of the session', async () => {
    const { world, visitor, begin } = await start({ timeout: 6000 })
    world.clock.advance(300 * SECOND)
    world.deploy({ timeout: 6000, absoluteTimeout: 600 })
    await visitor.request(use)
    expect(await endsAt(world, visitor, begin + 600 * SECOND)).toBe(true)
  })

  test('a first absolute timeout ends at once what is older than that', async () => {
    const { world, visitor } = await start({ timeout: 6000 })
    world.clock.advance(600 * SECOND)
    world.deploy({ timeout: 6000, absoluteTimeout: 600, autoSave: true })
    expect(await lives(visitor)).toBe(false)
    const oldKey = await visitor.storeKey()
    await visitor.request((session) => session.set('user', 'ada'))
    expect(await visitor.storeKey()).not.toBe(oldKey)
  })

  test('a first absolute timeout that passes between a read and a write makes the session gone', async () => {
    const { world, visitor } = await start({ timeout: 6000 })
    world.deploy({ timeout: 6000, absoluteTimeout: 600, autoSave: true })
    const request = visitor.open()
    const session = await request.session()
    session.set('more', 1)
    world.clock.advance(600 * SECOND)
    expect(await rejectionOf(session.save())).toMatchObject({ code: 'ERR_SESSION_GONE' })
    expect((await request.answer()).cookie).toBeUndefined()
  })

  test('an absolute deadline outlasts the option', async () => {
    const { world, visitor, begin } = await start({ timeout: 600, absoluteTimeout: 700 })
    world.deploy({ timeout: 600 })
    world.clock.advance(500 * SECOND)
    await visitor.request(use)
    expect(await endsAt(world, visitor, begin + 700 * SECOND)).toBe(true)
  })
})
