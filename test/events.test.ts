import { setImmediate } from 'node:timers/promises'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createReporter } from '../src/events.js'
import type { SessionEvent } from '../src/index.js'
import { rejectionOf, thenable } from './helpers/unit-errors.js'
import { type Visitor, World } from './helpers/unit-world.js'

type EventType = SessionEvent['type']
type Scene = (world: World) => Promise<unknown>

const cookieOf = (visitor: Visitor): string => visitor.cookieHeader ?? ''

/** What raises each event. Each scene raises nothing else. */
const scenes: Record<EventType, Scene> = {
  async gone(world) {
    const visitor = await world.visitorWith({ a: 1 })
    const old = visitor.clone()
    await visitor.request((session) => session.terminate())
    await old.request((session) => session.set('a', 2))
  },
  async conflict(world) {
    const visitor = await world.visitorWith({ a: 1 })
    const request = visitor.open()
    ;(await request.session()).set('a', 2)
    await visitor.request((session) => session.set('b', 2))
    await request.answer()
  },
  async corrupt(world) {
    const visitor = await world.visitorWith({ a: 1 })
    await world.tamper(visitor, (text) => text.slice(0, -1))
    await visitor.request((session) => session.get('a'))
  },
  async rejectedCookie(world) {
    const visitor = world.visitor()
    visitor.store('vishnu=forged; Path=/; Secure')
    await visitor.request((session) => session.get('a'))
  },
  async duplicateCookie(world) {
    const [one, other] = [await world.visitorWith({ a: 1 }), await world.visitorWith({ a: 2 })]
    const visit = world.sessions.open(`${cookieOf(one)}; ${cookieOf(other)}`)
    expect((await visit.session()).get('a')).toBe(1)
  },
  async unsaved(world) {
    world.deploy({ autoSave: false, onEvent: world.listener })
    await world.visitor().request((session) => session.set('a', 1))
  },
  async insecure(world) {
    const visit = world.sessions.open(undefined, { isPlainHttp: () => true })
    ;(await visit.session()).set('a', 1)
    const { append } = await world.sessions.commit(visit, () => undefined)
    expect(append).toHaveLength(1)
  },
  async backendError(world) {
    const visitor = await world.visitorWith({ a: 1 })
    world.backend.failNext('read', 3)
    expect(await rejectionOf(visitor.session())).toMatchObject({ code: 'ERR_BACKEND' })
  },
}
const types = Object.keys(scenes) as EventType[]

describe('every event', () => {
  test.each(types)('%s is told, once and alone, in a sentence', async (type) => {
    const world = new World({ autoSave: true })
    await scenes[type](world)
    expect(world.eventTypes()).toEqual([type])
    expect(world.events[0]?.message).toMatch(/^[A-Z].*\.$|^The session backend failed: /)
  })

  test.each(types)('%s holds no id, cookie, store key, secret or value', async (type) => {
    const world = new World({ autoSave: true, secret: 'canary, a secret of at least 32 characters' })
    await scenes[type](world)
    const text = inspect(world.events, { depth: Infinity, showHidden: true }) + JSON.stringify(world.events)
    const keys = world.backend.calls.map(({ key }) => key)
    for (const key of keys) expect(text).not.toContain(key)
    expect(text).not.toContain('canary')
    expect(text.replaceAll(/at .*/g, '')).not.toMatch(/[\w-]{30,}/)
  })

  test('conflict names the session by its public id', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1 })
    const { publicId } = await visitor.session()
    const request = visitor.open()
    ;(await request.session()).set('a', 2)
    await visitor.request((session) => session.set('b', 2))
    await request.answer()
    expect(world.events).toEqual([{ type: 'conflict', message: expect.any(String) as string, publicId }])
    expect((await visitor.session()).entries()).toEqual([
      ['a', 2],
      ['b', 2],
    ])
  })

  test('backendError brings the error along', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ a: 1 })
    world.backend.failNext('read', 3, new Error('no route to host'))
    const error = await rejectionOf(visitor.session())
    expect(world.events[0]?.cause).toBe(error)
    expect((error as Error).cause).toMatchObject({ message: 'no route to host' })
  })

  test.each(['create', 'replace'] as const)(
    'backendError says why, if every %s fails until the time is up',
    async (operation) => {
      const world = new World({ backendTimeout: 20 })
      const visitor = operation === 'create' ? world.visitor() : await world.visitorWith({ a: 1 })
      const session = await visitor.session()
      session.set('a', 2)
      const readOnly = new Error("READONLY You can't write against a read only replica.")
      world.backend.failNext(operation, 10_000, readOnly)
      const error = await rejectionOf(session.save())
      expect(error).toMatchObject({ code: 'ERR_BACKEND', message: expect.stringContaining(readOnly.message) as string })
      expect((error as Error).cause).toMatchObject({ message: readOnly.message })
      expect(world.events).toEqual([expect.objectContaining({ type: 'backendError', cause: error })])
    },
  )

  test('duplicateCookie is not told for the same session twice', async () => {
    const world = new World({ secret: ['another secret of at least 32 characters', 'a'.repeat(32)] })
    const visitor = await world.visitorWith({ a: 1 })
    const cookie = cookieOf(visitor)
    const visit = world.sessions.open(`${cookie}; ${cookie}; ${cookie.replace('vishnu=', 'vishnu="')}"`)
    expect((await visit.session()).get('a')).toBe(1)
    expect(world.events).toEqual([])
  })

  test('a planted cookie in front of ours hides nothing', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ a: 1 })
    const visit = world.sessions.open(`vishnu=planted; ${cookieOf(visitor)}; vishnu=another`)
    expect((await visit.session()).get('a')).toBe(1)
    expect(world.eventTypes()).toEqual(['rejectedCookie'])
  })

  test('insecure is told only where the cookie is lost: a secure one, sent, over plain HTTP', async () => {
    const set = async (world: World, isPlainHttp: boolean): Promise<EventType[]> => {
      const visit = world.sessions.open(undefined, { isPlainHttp: () => isPlainHttp })
      ;(await visit.session()).set('a', 1)
      await world.sessions.commit(visit, () => undefined)
      return world.eventTypes()
    }
    expect(await set(new World({ autoSave: true, secure: false }), true)).toEqual([])
    expect(await set(new World({ autoSave: true }), false)).toEqual([])
    expect(await set(new World({ autoSave: false }), true)).toEqual(['unsaved'])
    expect(await set(new World({ autoSave: true }), true)).toEqual(['insecure'])
  })

  test('corrupt leaves the record as it is, for whoever mends it; the visitor begins anew', async () => {
    const world = new World({ autoSave: true })
    const visitor = await world.visitorWith({ a: 1 })
    const key = await world.tamper(visitor, (text) => text.slice(0, -1))
    const damaged = await world.backend.text(key, world.clock.now())
    const { cookie } = await visitor.request((session) => {
      expect([session.get('a'), session.started]).toEqual([undefined, false])
      session.set('a', 2)
    })
    expect(cookie).toBeDefined()
    expect(await visitor.storeKey()).not.toBe(key)
    expect(await world.backend.text(key, world.clock.now())).toBe(damaged)
  })
})

describe('a listener', () => {
  const broken = (): never => {
    throw new Error('broken listener')
  }
  const bad: [string, (event: SessionEvent) => unknown][] = [
    ['throws', broken],
    ['rejects', () => Promise.reject(new Error('broken listener'))],
    ['returns what throws when it is awaited', () => thenable(broken)],
    ['never settles', () => new Promise(() => undefined)],
  ]
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)

  beforeEach(() => {
    unhandled.length = 0
    process.on('unhandledRejection', note)
  })
  afterEach(() => {
    process.off('unhandledRejection', note)
  })

  test.each(bad)('that %s fails no request and leaves no unhandled rejection', async (_, listener) => {
    for (const type of types) {
      const world = new World({ autoSave: true })
      world.listener = (event) => {
        world.events.push(event)
        return listener(event) as undefined
      }
      world.deploy({ autoSave: true, onEvent: world.listener })
      await scenes[type](world)
      expect(world.eventTypes()).toEqual([type])
    }
    await setImmediate()
    expect(unhandled).toEqual([])
  })
})

describe('without a listener', () => {
  let warnings: (Error & { code?: string })[] = []
  const note = (warning: Error): void => void (warning.name === 'SessionWarning' && warnings.push(warning))

  beforeEach(() => {
    warnings = []
    process.on('warning', note)
  })
  afterEach(() => {
    process.off('warning', note)
  })

  test('only what an operator has to mend is a process warning, each kind once', async () => {
    const report = createReporter(undefined)
    for (const round of [1, 2, 3]) for (const type of types) report(type, `${type} ${round}`)
    await setImmediate()
    expect(warnings.map(({ code, message }) => [code, message])).toEqual([
      ['VISHNU_CORRUPT', 'corrupt 1'],
      ['VISHNU_UNSAVED', 'unsaved 1'],
      ['VISHNU_INSECURE', 'insecure 1'],
    ])
  })

  test('each instance warns for itself', async () => {
    for (const report of [createReporter(undefined), createReporter(undefined)]) report('unsaved', 'twice')
    await setImmediate()
    expect(warnings).toHaveLength(2)
  })

  test('dropped changes are warned of, with what to do', async () => {
    const world = new World()
    world.deploy({ onEvent: undefined })
    const visitor = world.visitor()
    for (let request = 0; request < 3; request++) await visitor.request((session) => session.set('a', 1))
    await setImmediate()
    expect(warnings.map(({ message }) => message)).toEqual([
      'Session changes were dropped: call session.save(), or turn autoSave on.',
    ])
  })

  test('with one, nothing is a process warning', async () => {
    for (const type of types) await scenes[type](new World({ autoSave: true }))
    await setImmediate()
    expect(warnings).toEqual([])
  })
})
