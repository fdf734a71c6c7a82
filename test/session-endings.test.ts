import { describe, expect, test } from 'vitest'
import { SessionError } from '../src/index.js'
import { rejectionOf } from './helpers/unit-errors.js'
import { type OpenRequest, type Visitor, World } from './helpers/unit-world.js'

const refusal = (): SessionError => new SessionError('ERR_BACKEND', 'The backend refused the connection')

describe('terminate', () => {
  test('ends the session for every request, before it resolves', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ user: 'ada' })
    const thief = visitor.clone()
    const session = await visitor.session()
    await session.terminate()
    expect(await thief.read('user')).toBeUndefined()
    expect(await world.backend.text(await thief.storeKey(), world.clock.now())).toMatch(
      /^vishnu1 [\w-]+ [\w-]+ gone -\n$/,
    )
  })

  test('forgets what the request had read and changed', async () => {
    const visitor = await new World({ autoSave: true }).visitorWith({ user: 'ada' })
    const { cookie } = await visitor.request(async (session) => {
      const { publicId } = session
      session.set('more', 1)
      session.timeout = 60
      session.regenerate()
      await session.terminate()
      expect([session.get('user'), session.get('more'), session.has('user')]).toEqual([undefined, undefined, false])
      expect([session.keys(), session.started, session.needsSave, session.timeout]).toEqual([[], false, false, 0])
      expect(session.publicId).not.toBe(publicId)
    })
    expect(cookie).toBe(
      'vishnu=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax',
    )
    expect(visitor.cookieHeader).toBeUndefined()
  })

  test('what is set afterwards begins a new session under a new id', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ user: 'ada' })
    const old = visitor.clone()
    await visitor.request(async (session) => {
      await session.terminate()
      session.set('user', 'bob')
    })
    expect(await visitor.read('user')).toBe('bob')
    expect(await old.read('user')).toBeUndefined()
    expect(await visitor.storeKey()).not.toBe(await old.storeKey())
  })

  test('leaves no name behind: a session that begins in the same request has a public id of its own', async () => {
    const session = await new World().visitor().session()
    const { publicId } = session
    session.set('user', 'ada')
    await session.save()
    expect(session.publicId).toBe(publicId)
    await session.terminate()
    expect(session.publicId).not.toBe(publicId)
  })

  test('that fails says so: the session and the cookie are still there', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ user: 'ada' })
    const request = visitor.open()
    const session = await request.session()
    world.backend.failNext('replace', 1, refusal())
    expect(await rejectionOf(session.terminate())).toMatchObject({ code: 'ERR_BACKEND', status: 503 })
    expect(session.get('user')).toBe('ada')
    expect((await request.answer()).cookie).toBeUndefined()
    expect(await visitor.read('user')).toBe('ada')
  })

  test('of a session that is gone already is no error, and clears the cookie', async () => {
    const world = new World()
    const { straggler } = await ended(world)
    await straggler.session().then((session) => session.terminate())
    expect((await straggler.answer()).cookie).toMatch(/^vishnu=; Max-Age=0;/)
  })
})

/** A request that began before the session ended, and one that begins after it. */
async function ended(world: World): Promise<{ early: OpenRequest; straggler: OpenRequest; visitor: Visitor }> {
  const visitor = await world.visitorWith({ user: 'ada' })
  const late = visitor.clone()
  const early = visitor.open()
  await early.session()
  await visitor.request((session) => session.terminate())
  return { early, straggler: late.open(), visitor: late }
}

describe('a session that another request has ended', () => {
  const either = [
    ['noticed while writing', 'early'],
    ['noticed while reading', 'straggler'],
  ] as const

  test.each(either)('loses its changes at commit, with an event and without a cookie: %s', async (_, which) => {
    const world = new World({ autoSave: true })
    const { [which]: request, visitor } = await ended(world)
    const session = await request.session()
    session.set('user', 'ada again')
    expect((await request.answer()).cookie).toBeUndefined()
    expect(world.eventTypes()).toEqual(['gone'])
    expect(await visitor.read('user')).toBeUndefined()
  })

  test.each(either)('tells save and update: %s', async (_, which) => {
    const world = new World()
    for (const verb of ['save', 'update'] as const) {
      const { [which]: request, visitor } = await ended(world)
      const session = await request.session()
      session.set('user', 'ada again')
      const outcome = verb === 'save' ? session.save() : session.update('user', () => 'ada again')
      expect(await rejectionOf(outcome)).toMatchObject({ name: 'SessionError', code: 'ERR_SESSION_GONE', status: 409 })
      expect([session.started, session.get('role')]).toEqual([false, undefined])
      expect((await request.answer()).cookie).toBeUndefined()
      expect(await visitor.read('user')).toBeUndefined()
    }
  })

  test('says that it is gone, not that a save was forgotten', async () => {
    const world = new World({ autoSave: false })
    const { straggler } = await ended(world)
    ;(await straggler.session()).set('user', 'ada again')
    await straggler.answer()
    expect(world.eventTypes()).toEqual(['gone'])
  })

  test('shows nothing of the old values', async () => {
    const { straggler } = await ended(new World())
    const session = await straggler.session()
    expect([session.get('user'), session.keys(), session.started, session.needsSave]).toEqual([
      undefined,
      [],
      false,
      false,
    ])
  })

  test('costs a reader nothing: no event, no cookie', async () => {
    const world = new World({ autoSave: true })
    const { straggler } = await ended(world)
    await straggler.session()
    world.backend.reset()
    expect((await straggler.answer()).cookie).toBeUndefined()
    expect([world.events, world.backend.operations()]).toEqual([[], []])
  })

  test.each(either)('begins anew with regenerate, and only then: %s', async (_, which) => {
    const world = new World({ autoSave: true })
    const { [which]: request, visitor } = await ended(world)
    const session = await request.session()
    await rejectionOf(session.update('probe', () => 1))
    session.regenerate()
    session.set('user', 'bob')
    expect((await request.answer()).cookie).toBeDefined()
    expect(world.eventTypes()).toEqual([])
    expect(await visitor.read('user')).toBe(which === 'early' ? undefined : 'bob')
  })
})

describe('regenerate', () => {
  test('moves the values to a new id, and the old one leads nowhere', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ user: 'ada', cart: [1] })
    const old = visitor.clone()
    const oldKey = await old.storeKey()
    const { publicId } = await visitor.session()
    await visitor.request((session) => {
      session.regenerate()
      session.set('role', 'admin')
    })
    const session = await visitor.session()
    expect(session.entries()).toEqual([
      ['user', 'ada'],
      ['cart', [1]],
      ['role', 'admin'],
    ])
    expect(session.publicId).toBe(publicId)
    const newKey = await visitor.storeKey()
    expect(newKey).not.toBe(oldKey)
    expect((await old.session()).keys()).toEqual([])
    expect(await world.backend.text(oldKey, world.clock.now())).toMatch(
      new RegExp(`^vishnu1 ${oldKey} [\\w-]+ gone ${newKey}\n$`),
    )
  })

  test('only marks: until the save or the commit the old id is in use', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ user: 'ada' })
    const old = visitor.clone()
    const request = visitor.open()
    const session = await request.session()
    session.regenerate()
    expect([session.needsSave, session.get('user')]).toEqual([true, 'ada'])
    expect(await old.read('user')).toBe('ada')
    await session.save()
    expect([session.needsSave, session.get('user')]).toEqual([false, 'ada'])
    expect(await old.read('user')).toBeUndefined()
    expect((await request.answer()).cookie).toBeDefined()
    expect(await visitor.read('user')).toBe('ada')
  })

  test('happens with autoSave off too, but takes only what was saved along', async () => {
    const world = new World({ autoSave: false })
    const visitor = await world.visitorWith({ user: 'ada' })
    const old = visitor.clone()
    await visitor.request((session) => {
      session.set('role', 'admin')
      session.regenerate()
    })
    expect((await visitor.session()).entries()).toEqual([['user', 'ada']])
    expect(await old.read('user')).toBeUndefined()
    expect(world.eventTypes()).toEqual(['unsaved'])
  })

  test('brings along what another request has stored under the old id meanwhile', async () => {
    const visitor = await new World({ autoSave: true }).visitorWith({ user: 'ada', cart: 1 })
    const other = visitor.clone()
    const request = visitor.open()
    const session = await request.session()
    session.regenerate()
    session.set('role', 'admin')
    await other.request((its) => {
      its.set('cart', 2)
      its.set('theme', 'dark')
    })
    await request.answer()
    const values = new Map((await visitor.session()).entries())
    expect(Object.fromEntries(values)).toEqual({ user: 'ada', cart: 2, role: 'admin', theme: 'dark' })
  })

  test('does not bring a session back that has ended meanwhile, whichever verb comes next', async () => {
    for (const verb of ['save', 'update'] as const) {
      const world = new World()
      const { early, visitor } = await ended(world)
      const session = await early.session()
      session.regenerate()
      const outcome = verb === 'save' ? session.save() : session.update('user', () => 'ada again')
      expect(await rejectionOf(outcome)).toMatchObject({ code: 'ERR_SESSION_GONE' })
      expect([session.started, (await early.answer()).cookie]).toEqual([false, undefined])
      expect(await visitor.read('user')).toBeUndefined()
    }
  })

  test('with a clear leaves nothing of the previous user', async () => {
    const visitor = await new World({ autoSave: true }).visitorWith({ user: 'ada', cart: 1 })
    await visitor.request((session) => {
      session.clear()
      session.regenerate({ authenticated: true })
      session.set('user', 'bob')
    })
    expect((await visitor.session()).entries()).toEqual([['user', 'bob']])
  })

  test('asked for while another is under way is done as well', async () => {
    const world = new World({ autoSave: true, absoluteTimeout: 3600 })
    const visitor = await world.visitorWith({ cart: 1 })
    world.clock.advance(1800_000)
    await visitor.request(async (session) => {
      session.regenerate()
      const parked = world.backend.parkNext('create')
      const saved = session.save()
      await parked.reached
      session.regenerate({ authenticated: true })
      parked.release()
      await saved
      expect(session.needsSave).toBe(true)
    })
    world.clock.advance(3599_000)
    expect(await visitor.read('cart')).toBe(1)
  })

  test('an old id can neither read nor write what came after', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ cart: 1 })
    const attacker = visitor.clone()
    const early = attacker.open()
    await early.session()
    await visitor.request((session) => {
      session.regenerate({ authenticated: true })
      session.set('user', 'ada')
    })
    const session = await early.session()
    expect(session.get('user')).toBeUndefined()
    session.set('user', 'mallory')
    expect((await early.answer()).cookie).toBeUndefined()
    const { cookie } = await attacker.request((its) => {
      expect(its.keys()).toEqual([])
      its.set('user', 'mallory')
    })
    expect(cookie).toBeUndefined()
    expect(world.eventTypes()).toEqual(['gone', 'gone'])
    expect(await visitor.read('user')).toBe('ada')
  })

  test('a log-out with the old cookie ends the new session as well', async () => {
    const visitor = await new World({ autoSave: true }).visitorWith({ user: 'ada' })
    const old = visitor.clone()
    await visitor.request((session) => session.regenerate())
    await old.request((session) => session.terminate())
    expect(await visitor.read('user')).toBeUndefined()
  })
})
