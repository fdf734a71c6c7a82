import { describe, expect, test } from 'vitest'
import { getSession, type Session, SessionError, type Visit } from '../src/index.js'
import { rejectionOf, thrownBy } from './helpers/unit-errors.js'
import { type Visitor, World } from './helpers/unit-world.js'

describe('what a request leaves behind', () => {
  const either = [{ autoSave: false }, { autoSave: true }]

  test.each(either)('a request that does not ask costs nothing: %j', async (options) => {
    const world = new World(options)
    const visitor = await world.visitorWith({ a: 1 })
    const request = visitor.open()
    expect(await request.answer()).toEqual({ set: [], append: [], cookie: undefined })
    expect(world.backend.operations()).toEqual([])
  })

  test.each(either)('a request that only reads writes nothing: %j', async (options) => {
    const world = new World(options)
    const visitor = await world.visitorWith({ a: { list: [1] }, b: new Map() })
    const { cookie } = await visitor.request((session) => {
      for (const key of ['a', 'b', 'missing']) for (let time = 0; time < 3; time++) session.get(key)
      session.entries()
      session.has('a')
      session.keys()
      expect([session.timeout, session.started, session.needsSave]).toEqual([0, true, false])
      expect(session.publicId).toMatch(/^[\w-]{12}$/)
    })
    expect(world.backend.operations()).toEqual(['read'])
    expect(cookie).toBeUndefined()
  })

  test.each(either)('nothing is stored for a visitor until something is set: %j', async (options) => {
    const world = new World(options)
    const { cookie } = await world.visitor().request(async (session) => {
      session.get('a')
      session.has('a')
      session.entries()
      session.delete('a')
      session.clear()
      session.timeout = 60
      session.regenerate()
      session.set('b', 1)
      session.delete('b')
      await session.save()
      await session.terminate()
      expect(session.started).toBe(false)
      expect(session.publicId).toMatch(/^[\w-]{12}$/)
    })
    expect(world.backend.operations()).toEqual([])
    expect(cookie).toBeUndefined()
    expect(world.events).toEqual([])
  })

  test.each(either)(
    'a visitor with a forged cookie is a new one, and the backend is not asked: %j',
    async (options) => {
      const world = new World(options)
      const visitor = world.visitor()
      for (const forged of [`1${'A'.repeat(75)}`, `2${'A'.repeat(70)}`, 'garbage', 'x'.repeat(4000)]) {
        visitor.store(`vishnu=${forged}; Path=/; Secure`)
        const { cookie } = await visitor.request((session) => {
          expect([session.get('a'), session.started, session.keys()]).toEqual([undefined, false, []])
        })
        expect(cookie).toBeUndefined()
      }
      expect(world.backend.operations()).toEqual([])
      expect(world.eventTypes()).toEqual(Array.from({ length: 4 }, () => 'rejectedCookie'))
    },
  )

  test('an id that was never stored, or is stored no more, is a new visitor: 1 read, no write, no cookie', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1 })
    world.clock.advance(86_400_000)
    const { cookie } = await visitor.request((session) => {
      expect([session.get('a'), session.started]).toEqual([undefined, false])
    })
    expect(cookie).toBeUndefined()
    expect(world.backend.operations()).toEqual(['read'])
  })
})

describe('what a request does, costs and answers', () => {
  type Act = (session: Session) => unknown
  const nothing: Act = () => undefined
  const read: Act = (session) => session.get('a')
  const set: Act = (session) => session.set('b', 2)
  const remove: Act = (session) => session.delete('a')
  const clear: Act = (session) => session.clear()
  const time: Act = (session) => (session.timeout = 60)
  const save: Act = (session) => session.save()
  const update: Act = (session) => session.update('b', () => 2)
  const renew: Act = (session) => session.regenerate()
  const end: Act = (session) => session.terminate()

  // What is there before | autoSave | the steps | what the session says of itself then | backend calls | cookie | events
  const rows: [string, boolean, Act[], string, string, string, string][] = [
    ['none', true, [nothing], '', '', 'no', ''],
    ['none', true, [read], '', '', 'no', ''],
    ['none', true, [set], 'started needsSave', 'create', 'new', ''],
    ['none', false, [set], 'needsSave', '', 'no', 'unsaved'],
    ['none', true, [set, remove], 'started needsSave', 'create', 'new', ''],
    ['none', false, [set, save], 'started', 'create', 'new', ''],
    ['none', true, [set, save, read], 'started', 'create', 'new', ''],
    ['none', true, [save], '', '', 'no', ''],
    ['none', true, [remove], 'needsSave', '', 'no', ''],
    ['none', true, [set, clear], 'needsSave', '', 'no', ''],
    ['none', true, [time], 'needsSave', '', 'no', ''],
    ['none', true, [time, set], 'started needsSave', 'create', 'new', ''],
    ['none', false, [update], 'started', 'create', 'new', ''],
    ['none', false, [renew], 'needsSave', '', 'no', ''],
    ['none', true, [renew, set], 'started needsSave', 'create', 'new', ''],
    ['none', true, [end], '', '', 'no', ''],
    ['none', true, [set, save, end], '', 'create replace', 'no', ''],
    ['one', true, [nothing], 'started', 'read', 'no', ''],
    ['one', false, [nothing], 'started', 'read', 'no', ''],
    ['one', true, [read], 'started', 'read', 'no', ''],
    ['one', true, [set], 'started needsSave', 'read replace', 'no', ''],
    ['one', false, [set], 'started needsSave', 'read', 'no', 'unsaved'],
    ['one', false, [set, save], 'started', 'read replace', 'no', ''],
    ['one', true, [set, save], 'started', 'read replace', 'no', ''],
    ['one', true, [save], 'started', 'read', 'no', ''],
    ['one', true, [remove], 'started needsSave', 'read replace', 'no', ''],
    ['one', false, [remove], 'started needsSave', 'read', 'no', 'unsaved'],
    ['one', true, [clear], 'started needsSave', 'read replace', 'no', ''],
    ['one', false, [clear], 'started needsSave', 'read', 'no', 'unsaved'],
    ['one', true, [time], 'started needsSave', 'read replace', 'new', ''],
    ['one', false, [time], 'started needsSave', 'read', 'no', 'unsaved'],
    ['one', false, [time, save], 'started', 'read replace', 'new', ''],
    ['one', false, [update], 'started', 'read replace', 'no', ''],
    ['one', true, [set, update], 'started', 'read replace', 'no', ''],
    ['one', false, [renew], 'started needsSave', 'read create replace', 'new', ''],
    ['one', false, [renew, renew], 'started needsSave', 'read create replace', 'new', ''],
    ['one', false, [renew, save], 'started', 'read create replace', 'new', ''],
    ['one', false, [renew, update], 'started', 'read create replace replace', 'new', ''],
    ['one', false, [renew, set], 'started needsSave', 'read create replace', 'new', 'unsaved'],
    ['one', true, [renew, set], 'started needsSave', 'read create replace', 'new', ''],
    ['one', false, [end], '', 'read replace', 'clearing', ''],
    ['one', false, [end, end], '', 'read replace', 'clearing', ''],
    ['one', true, [end, read], '', 'read replace', 'clearing', ''],
    ['one', true, [set, end], '', 'read replace', 'clearing', ''],
    ['one', true, [renew, end], '', 'read replace', 'clearing', ''],
    ['one', true, [renew, save, end], '', 'read create replace replace', 'clearing', ''],
    ['one', true, [end, set], 'started needsSave', 'read replace create', 'new', ''],
    ['one', false, [end, set], 'needsSave', 'read replace', 'clearing', 'unsaved'],
    ['one', false, [end, set, save], 'started', 'read replace create', 'new', ''],
    ['one', false, [end, update], 'started', 'read replace create', 'new', ''],
    ['one', true, [end, renew], 'needsSave', 'read replace', 'clearing', ''],
  ]
  const title = ([before, autoSave, steps]: (typeof rows)[number]): string =>
    `${before} stored, autoSave ${autoSave ? 'on' : 'off'}: ${steps.map(({ name }) => name).join(', ')}`

  test.each(rows.map((row) => [title(row), row] as const))('%s', async (_, row) => {
    const [before, autoSave, steps, says, operations, expectedCookie, events] = row
    const world = new World({ autoSave })
    const visitor = before === 'one' ? await world.visitorWith({ a: 1 }) : world.visitor()
    let said = ''
    const { cookie } = await visitor.request(async (session) => {
      expect(session.started).toBe(before === 'one')
      for (const step of steps) await step(session)
      said = [session.started && 'started', session.needsSave && 'needsSave'].filter(Boolean).join(' ')
    })
    const kind = cookie === undefined ? 'no' : cookie.startsWith('vishnu=;') ? 'clearing' : 'new'
    expect([said, world.backend.operations().join(' '), kind, world.eventTypes().join(' ')]).toEqual([
      says,
      operations,
      expectedCookie,
      events,
    ])
  })
})

test('a response has to wait for its commit only if there is something to store', async () => {
  const world = new World({ timeout: 600 })
  const commit = (visit: Visit): unknown => world.sessions.commit(visit, () => undefined)
  const [visitor, stranger] = [await world.visitorWith({ a: 1 }), world.visitor()]
  for (const { visit } of [visitor.open(), stranger.open()]) {
    expect((await visit.session()).has('b')).toBe(false)
    expect(commit(visit)).not.toBeInstanceOf(Promise)
  }
  world.clock.advance(60_000)
  const { visit } = visitor.open()
  await visit.session()
  const committing = commit(visit)
  expect(committing).toBeInstanceOf(Promise)
  await committing
  expect(world.backend.operations()).toEqual(['read', 'read', 'touch'])
})

describe('after the headers were sent', () => {
  async function committed(): Promise<{ world: World; visitor: Visitor; session: Session }> {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1 })
    const request = visitor.open()
    const session = await request.session()
    await request.answer()
    world.backend.reset()
    return { world, visitor, session }
  }

  test('a change throws and says so, whichever it is', async () => {
    const { world, session } = await committed()
    const changes: Record<string, () => unknown> = {
      set: () => session.set('a', 2),
      delete: () => session.delete('a'),
      clear: () => session.clear(),
      timeout: () => (session.timeout = 60),
      regenerate: () => session.regenerate(),
    }
    for (const [name, change] of Object.entries(changes)) {
      const error = thrownBy(change)
      expect(error).toBeInstanceOf(SessionError)
      expect(error).toMatchObject({ code: 'ERR_COMMITTED' })
      expect((error as Error).message).toMatch(new RegExp(`^${name} comes too late`))
    }
    expect([session.get('a'), session.keys(), session.needsSave, session.timeout]).toEqual([1, ['a'], false, 0])
    expect(world.backend.operations()).toEqual([])
  })

  test('update and terminate still work for a session that has a cookie', async () => {
    const { world, visitor, session } = await committed()
    expect(await session.update('a', (value) => (value as number) + 1)).toBe(2)
    expect(await visitor.read('a')).toBe(2)
    await session.terminate()
    expect(await visitor.read('a')).toBeUndefined()
    expect(session.started).toBe(false)
    expect(world.eventTypes()).toEqual([])
  })

  test('a new session can not begin: no cookie would follow', async () => {
    const world = new World({ autoSave: true })
    const request = world.visitor().open()
    const session = await request.session()
    await request.answer()
    expect(await rejectionOf(session.update('a', () => 1))).toMatchObject({ code: 'ERR_COMMITTED' })
    expect(world.backend.operations()).toEqual([])

    const other = await committed()
    await other.session.terminate()
    expect(await rejectionOf(other.session.update('a', () => 1))).toMatchObject({ code: 'ERR_COMMITTED' })
    expect(other.world.backend.operations()).toEqual(['replace'])
  })

  test('save finds nothing to do', async () => {
    const { world, session } = await committed()
    await session.save()
    expect(world.backend.operations()).toEqual([])
  })

  test('a session that is first asked for then can be read and not changed', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1 })
    const { visit } = visitor.open()
    visit.headersAreSent()
    const session = await visit.session()
    expect(session.get('a')).toBe(1)
    expect(thrownBy(() => session.set('a', 2))).toMatchObject({ code: 'ERR_COMMITTED' })
    expect(await session.update('a', () => 3)).toBe(3)
  })

  test('changes that arrive while the commit is under way are refused, not lost in silence', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1 })
    const request = visitor.open()
    const session = await request.session()
    session.set('a', 2)
    const parked = world.backend.parkNext('replace')
    const answer = request.answer()
    await parked.reached
    expect(thrownBy(() => session.set('b', 1))).toMatchObject({ code: 'ERR_COMMITTED' })
    parked.release()
    await answer
    expect((await visitor.session()).entries()).toEqual([['a', 2]])
  })
})

describe('the session is found', () => {
  test('by the request that an adapter has bound, and by no other', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ a: 1 })
    const request = {}
    expect(world.sessions.isBound(request)).toBe(false)
    world.sessions.bind(request, visitor.open().visit)
    expect(world.sessions.isBound(request)).toBe(true)
    const session = await world.sessions.get(request)
    expect(session.get('a')).toBe(1)
    expect(await world.sessions.get(request)).toBe(session)
    for (const unknown of [{}, undefined, null])
      expect(await rejectionOf(world.sessions.get(unknown as object))).toMatchObject({ code: 'ERR_NO_MIDDLEWARE' })
    expect(await rejectionOf(new World().sessions.get(request))).toMatchObject({ code: 'ERR_NO_MIDDLEWARE' })
  })

  test('anywhere in what a request runs and awaits, and nowhere else', async () => {
    const world = new World()
    const [ada, bob] = [await world.visitorWith({ user: 'ada' }), await world.visitorWith({ user: 'bob' })]
    const whoIsIt = async (): Promise<unknown> => {
      await new Promise((resolve) => setImmediate(resolve))
      expect(await getSession()).toBe(await world.sessions.current())
      return (await getSession()).get('user')
    }
    const users = [ada, bob, ada, bob].map((visitor) => world.sessions.run(visitor.open().visit, whoIsIt))
    expect(await Promise.all(users)).toEqual(['ada', 'bob', 'ada', 'bob'])
    for (const outside of [getSession(), world.sessions.current()]) {
      expect(await rejectionOf(outside)).toMatchObject({ code: 'ERR_NO_REQUEST' })
    }
  })

  test('of each instance where several are nested; the innermost is everybody’s', async () => {
    const [outer, inner] = [new World(), new World()]
    const [outside, inside] = [await outer.visitorWith({ at: 'outer' }), await inner.visitorWith({ at: 'inner' })]
    await outer.sessions.run(outside.open().visit, () =>
      inner.sessions.run(inside.open().visit, async () => {
        expect((await getSession()).get('at')).toBe('inner')
        expect((await inner.sessions.current()).get('at')).toBe('inner')
        expect((await outer.sessions.current()).get('at')).toBe('outer')
        expect(await rejectionOf(new World().sessions.current())).toMatchObject({ code: 'ERR_NO_REQUEST' })
      }),
    )
  })

  test('with one read, however often and at whatever time it is asked for', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ a: 1 })
    const { visit } = visitor.open()
    const [one, other] = await Promise.all([visit.session(), visit.session()])
    expect(one).toBe(other)
    expect(await visit.session()).toBe(one)
    for (let time = 0; time < 20; time++) one.get(`missing ${time}`)
    expect(world.backend.operations()).toEqual(['read'])
  })
})
