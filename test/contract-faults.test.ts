import { describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { type Session, SessionError, type SessionEvent, type Sessions } from '../src/index.js'
import type { Operation } from './helpers/contract-backends.js'
import { type FaultName, faultNames, type FaultyBackend, faultyBackend } from './helpers/contract-faults.js'
import {
  type Answer,
  begin,
  newVisitor,
  type OpenRequest,
  request,
  startServer,
  valuesOf,
} from './helpers/contract-requests.js'

// Every fault, in every call, under every verb. A fault may cost the visitor one request, and nothing else.

/** Of those that are kept waiting in vain. A busy machine may need as long for the calls that are answered. */
const impatience = 250
/** The contract's bound, and what a busy machine adds to it. */
const patience = impatience + 10_000

interface World {
  readonly store: FaultyBackend
  readonly sessions: Sessions
  readonly events: string[]
  /** Has `{ user: 'alice', count: 0 }`. */
  readonly cookie: string
}

async function world(autoSave = false, backendTimeout = impatience): Promise<World> {
  const store = faultyBackend(memory())
  const events: string[] = []
  const onEvent = ({ type }: SessionEvent): void => void events.push(type)
  const sessions = startServer(store, { autoSave, backendTimeout, touchInterval: 0, onEvent })
  await newVisitor(sessions, { user: 'eve' })
  return { store, sessions, events, cookie: await newVisitor(sessions, { user: 'alice', count: 0 }) }
}

describe.concurrent('opening a session', () => {
  const unavailable: FaultName[] = [
    'fails before it is applied',
    'fails after it was applied',
    'hangs',
    'hangs after it was applied',
    'hangs and is applied late',
    "is answered with another key's entry",
  ]
  test.each(unavailable)('fails with 503 when the read %s', async (fault) => {
    const { store, sessions, cookie } = await world(true)
    const visit = sessions.open(cookie)
    store.breakDown('read', fault)
    await expectOutage(visit.session())
    expect(store.hits()).toBeGreaterThan(0)
    // A handler that goes on all the same neither logs the visitor out nor gives them a new session.
    expect((await sessions.commit(visit, () => undefined)).append).toEqual([])

    store.heal()
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'alice', count: 0 })
    expect((await visit.session()).get('user')).toBe('alice')
  })

  const passing = ['arrives twice', 'arrives twice, the second time late', 'takes long'] as const
  test.each(passing)('goes on when the read %s', async (fault) => {
    const { store, sessions, cookie } = await world(false, patience)
    store.breakDown('read', fault)
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'alice', count: 0 })
    expect(store.hits()).toBe(1)
  })

  test.each(unavailable.slice(0, 2))('goes on when the read %s only once', async (fault) => {
    const { store, sessions, cookie } = await world(false, patience)
    store.breakDown('read', fault, 1)
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'alice', count: 0 })
    expect(store.hits()).toBe(1)
  })
})

type Work = (session: Session) => unknown

const count: Work = (session) => session.update('count', (n = 0) => (n as number) + 1)
const terminate: Work = (session) => session.terminate()
const set: Work = (session) => session.set('set', true)
const save: Work = (session) => {
  session.set('set', true)
  return session.save()
}
const regenerate: Work = (session) => {
  session.set('set', true)
  return session.regenerate()
}

interface Verb {
  readonly work: Work
  /** Whether the response does it. */
  readonly atCommit?: boolean
  /** Whether it is a visitor's first request. */
  readonly isFirst?: boolean
  readonly calls: readonly Operation[]
  /** What it leads to. */
  readonly values: Readonly<Record<string, unknown>>
  readonly cookie: 'none' | 'new' | 'cleared'
}

const alice = { user: 'alice', count: 0 }
const verbs: Record<string, Verb> = {
  'a commit': { work: set, atCommit: true, calls: ['replace'], values: { ...alice, set: true }, cookie: 'none' },
  'a save': { work: save, calls: ['replace'], values: { ...alice, set: true }, cookie: 'none' },
  'an update': { work: count, calls: ['replace'], values: { ...alice, count: 1 }, cookie: 'none' },
  'a log-out': { work: terminate, calls: ['replace'], values: {}, cookie: 'cleared' },
  'a rotation': {
    work: regenerate,
    atCommit: true,
    calls: ['create', 'replace'],
    values: { ...alice, set: true },
    cookie: 'new',
  },
  'a first commit': {
    work: set,
    atCommit: true,
    isFirst: true,
    calls: ['create'],
    values: { set: true },
    cookie: 'new',
  },
  'a first save': { work: save, isFirst: true, calls: ['create'], values: { set: true }, cookie: 'new' },
  'a first update': { work: count, isFirst: true, calls: ['create'], values: { count: 1 }, cookie: 'new' },
}

const cells = Object.entries(verbs).flatMap(([name, verb]) =>
  verb.calls.flatMap((operation) => faultNames.map((fault) => ({ name, verb, operation, fault }))),
)
/** The outcome is known, or can be found out. */
const survivable: FaultName[] = [
  'fails after it was applied',
  'arrives twice',
  'arrives twice, the second time late',
  'takes long',
  "is answered with another key's entry",
  'is answered with half of the bytes',
]

describe.concurrent('when its write goes wrong in every attempt', () => {
  for (const { name, verb, operation, fault } of cells.filter((cell) => survivable.includes(cell.fault))) {
    test(`${name} succeeds, once, though the ${operation} ${fault}`, async () => {
      const { store, sessions, cookie } = await world(verb.atCommit, patience)
      const opened = await begin(sessions, verb.isFirst ? undefined : cookie)
      store.breakDown(operation, fault)
      const answer = await perform(verb, opened)
      expect(store.hits()).toBeGreaterThan(0)
      store.heal()
      expect(cookieIn(answer)).toBe(verb.cookie)
      expect(await valuesOf(sessions, answer.cookie ?? cookie)).toEqual(verb.values)
      const oldIdEnds = verb.cookie !== 'none' && !verb.isFirst
      expect(await valuesOf(sessions, cookie)).toEqual(oldIdEnds ? {} : verb.isFirst ? alice : verb.values)
    })
  }

  for (const { name, verb, operation, fault } of cells.filter((cell) => !survivable.includes(cell.fault))) {
    test(`${name} fails with 503 when the ${operation} ${fault}, and the next request recovers`, async () => {
      const { store, sessions, cookie } = await world(verb.atCommit)
      const brought = verb.isFirst ? undefined : cookie
      const opened = await begin(sessions, brought)
      store.breakDown(operation, fault)
      await expectOutage(perform(verb, opened))
      expect(await errorPage(verb, opened)).toBe('none')
      expect(store.hits()).toBeGreaterThan(0)
      store.heal()

      const wasApplied = fault.includes('applied') && fault.startsWith('hangs') && operation === 'replace'
      // Nobody was told the id that a rotation has moved to: the one case in which a visitor has to log in again.
      const applied = verb.cookie === 'none' ? verb.values : {}
      expect(await valuesOf(sessions, cookie)).toEqual(wasApplied ? applied : alice)
      const next = wasApplied ? brought : (await request(sessions, brought, verb.work)).cookie
      expect(await valuesOf(sessions, next ?? cookie)).toEqual(wasApplied ? applied : verb.values)
    })
  }
})

describe.concurrent('when the reply to its write is lost, and so is what would tell the outcome', () => {
  const unknown: FaultName[] = ['fails before it is applied', 'hangs', "is answered with another key's entry"]
  for (const { name, verb, operation, fault } of cells.filter((cell) => unknown.includes(cell.fault))) {
    test(`${name} fails with 503, and is not done twice (${operation}; then the read ${fault})`, async () => {
      const { store, sessions, cookie } = await world(verb.atCommit)
      const opened = await begin(sessions, verb.isFirst ? undefined : cookie)
      store.breakDown(operation, 'fails after it was applied', 1)
      store.breakDown('read', fault)
      await expectOutage(perform(verb, opened))
      expect(await errorPage(verb, opened)).toBe('none')
      store.heal()
      const applied = verb.cookie === 'none' ? verb.values : {}
      expect(await valuesOf(sessions, cookie)).toEqual(operation === 'create' ? alice : applied)
    })
  }

  test.each(['before', 'after'])(
    'a log-out that has read half a record, %s the write, says what is true',
    async (when) => {
      const { store, sessions, cookie } = await world()
      if (when === 'before') store.breakDown('read', 'is answered with half of the bytes')
      const { session } = await begin(sessions, cookie)
      store.breakDown('replace', 'fails before it is applied', 1)
      store.breakDown('read', 'is answered with half of the bytes')
      const claimed = await session.terminate().then(
        () => 'logged out',
        () => 'failed',
      )
      store.heal()
      const truth = 'user' in (await valuesOf(sessions, cookie)) ? 'failed' : 'logged out'
      expect(claimed).toBe(truth)
    },
  )
})

describe('when another request writes after a lost reply', () => {
  const applied = { 'was applied': true, 'was not applied': false }
  describe.each(Object.entries(applied))('to a write that %s', (_, isApplied) => {
    async function overtaken(): Promise<World> {
      const scene = await world()
      scene.store.breakDown(
        'replace',
        async (run) => {
          if (isApplied) await run()
          await request(scene.sessions, scene.cookie, (session) => session.update('other', () => 'kept'))
          throw new Error('connection reset')
        },
        1,
      )
      return scene
    }

    test('a set is stored on top of it', async () => {
      const { sessions, cookie } = await overtaken()
      await request(sessions, cookie, save)
      expect(await valuesOf(sessions, cookie)).toEqual({ user: 'alice', count: 0, set: true, other: 'kept' })
    })

    test('an update rejects, since counting twice is worse than not knowing', async () => {
      const { sessions, cookie } = await overtaken()
      const { session } = await begin(sessions, cookie)
      await expectOutage(count(session))
      const { count: counted, ...others } = await valuesOf(sessions, cookie)
      expect(others).toEqual({ user: 'alice', other: 'kept' })
      expect(counted).toBe(isApplied ? 1 : 0)
    })
  })
})

describe.concurrent('a call that arrives after its request has given up', () => {
  function holdBack(store: FaultyBackend, operation: Operation): () => Promise<unknown> {
    let arrive: () => Promise<unknown> = () => Promise.reject(new Error('never called'))
    store.breakDown(
      operation,
      (run) => {
        arrive = run
        return new Promise(() => {})
      },
      1,
    )
    return () => arrive()
  }

  test('does not undo what was written since', async () => {
    const { store, sessions, cookie } = await world()
    const arrive = holdBack(store, 'replace')
    await expectOutage(begin(sessions, cookie).then(({ session }) => save(session)))
    await request(sessions, cookie, count)
    expect(await arrive()).toBe('conflict')
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'alice', count: 1 })
  })

  test('does not undo a log-out', async () => {
    const { store, sessions, cookie } = await world()
    const arrive = holdBack(store, 'replace')
    await expectOutage(begin(sessions, cookie).then(({ session }) => save(session)))
    await request(sessions, cookie, (session) => session.terminate())
    await arrive()
    expect(await valuesOf(sessions, cookie)).toEqual({})
  })

  test('creates nothing that a cookie leads to', async () => {
    const { store, sessions } = await world(true)
    const arrive = holdBack(store, 'create')
    const { session, respond } = await begin(sessions)
    set(session)
    await expectOutage(respond())
    await arrive()
    const answer = await request(sessions, undefined, set)
    expect(await valuesOf(sessions, answer.cookie)).toEqual({ set: true })
  })
})

describe.concurrent('a request that only reads', () => {
  test.each(faultNames)('succeeds when its touch %s', async (fault) => {
    let now = Date.now()
    const store = faultyBackend(memory())
    const sessions = startServer(store, { backendTimeout: impatience, touchInterval: 0, clock: () => now })
    const cookie = await newVisitor(sessions, { user: 'alice' })
    now += 5_000
    const { session, respond } = await begin(sessions, cookie)
    store.breakDown('touch', fault)
    expect(session.get('user')).toBe('alice')
    const start = performance.now()
    expect((await respond()).setCookies).toEqual([])
    expect(performance.now() - start).toBeLessThan(patience)
    expect(store.hits()).toBe(1)
  })
})

async function expectOutage(work: unknown): Promise<void> {
  const start = performance.now()
  const error = await Promise.resolve(work).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(performance.now() - start).toBeLessThan(patience)
  expect(error).toBeInstanceOf(SessionError)
  expect(error).toMatchObject({ code: 'ERR_BACKEND', status: 503, statusCode: 503 })
}

async function perform({ work }: Verb, { session, respond }: OpenRequest): Promise<Answer> {
  await work(session)
  return respond()
}

/** What an application's error handler sends; where the commit itself has failed, the response is discarded instead. */
async function errorPage({ atCommit }: Verb, { respond }: OpenRequest): Promise<Verb['cookie']> {
  return atCommit ? 'none' : cookieIn(await respond())
}

function cookieIn({ setCookies, cookie }: Answer): Verb['cookie'] {
  if (setCookies.length === 0) return 'none'
  return cookie === undefined ? 'cleared' : 'new'
}
