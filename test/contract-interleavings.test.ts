import { describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import type { Backend, Sessions, SessionsOptions } from '../src/index.js'
import { manualClock } from './helpers/clock.js'
import { recordingBackend, wrapBackend } from './helpers/contract-backends.js'
import { everyInterleaving } from './helpers/contract-interleavings.js'
import { type Answer, begin, endingOf, newVisitor, startServer, valuesOf } from './helpers/contract-requests.js'
import type { Work } from './helpers/contract-rounds.js'

// Small requests in every order in which a store can meet their calls: what holds here is no matter of luck.

describe('in every interleaving', () => {
  test('two requests that set different keys both win', async () => {
    await everyOrder({ a: set('a'), b: set('b') }, async ({ old, a, b, values }) => {
      expect([a.ending, b.ending]).toEqual(['stored', 'stored'])
      expect(await values(old)).toEqual({ cart: 1, a: 'set', b: 'set' })
    })
  })

  test('a deletion and a set of another key both win', async () => {
    await everyOrder({ a: set('a'), b: (session) => session.delete('cart') }, async ({ old, values }) => {
      expect(await values(old)).toEqual({ a: 'set' })
    })
  })

  test('of two requests that set the same key one wins whole', async () => {
    await everyOrder({ a: set('same', ['a', 1]), b: set('same', ['b']) }, async ({ old, values }) => {
      expect([['a', 1], ['b']]).toContainEqual((await values(old))['same'])
    })
  })

  test('three requests that set different keys all win', async () => {
    await everyOrder({ a: set('a'), b: set('b'), c: set('c') }, async ({ old, values }) => {
      expect(await values(old)).toEqual({ cart: 1, a: 'set', b: 'set', c: 'set' })
    })
  })

  test('updates all count, once', async () => {
    const requests: Record<string, Work>[] = [
      { a: count, b: count },
      { a: count, b: count, c: count },
    ]
    for (const works of requests) {
      await everyOrder(works, async ({ old, values, runs }) => {
        expect(runs.map(({ ending }) => ending)).toEqual(runs.map(() => 'stored'))
        expect(await values(old)).toEqual({ cart: 1, count: runs.length })
      })
    }
  })

  test('a log-out ends the session for a request that sets', async () => {
    await everyOrder({ a: set('a'), out: terminate }, async ({ a, out, all }) => {
      expect(['stored', 'gone']).toContain(a.ending)
      expect(out.ending).toBe('stored')
      expect(a.answer?.setCookies).toEqual([])
      expect(await all()).toEqual([])
    })
  })

  test('a log-out ends the session for a request that only prolongs it', async () => {
    await everyOrder({ reader: () => undefined, out: terminate }, async ({ reader, all }) => {
      expect(reader.answer?.setCookies).toEqual([])
      expect(await all()).toEqual([])
    })
  })

  test('two log-outs both succeed', async () => {
    await everyOrder({ out: terminate, alsoOut: terminate }, async ({ out, alsoOut, all }) => {
      expect([out.ending, alsoOut.ending]).toEqual(['stored', 'stored'])
      expect(await all()).toEqual([])
    })
  })

  test('a log-in takes along what was acknowledged under the old id, and the old id learns nothing', async () => {
    for (const work of [set('a'), count]) {
      await everyOrder({ login, other: work }, async ({ old, login: entered, other, values, all }) => {
        expect(entered.ending).toBe('stored')
        expect(await values(old)).toEqual({})
        const kept = await values(entered.answer?.cookie)
        expect(kept).toMatchObject({ cart: 1, user: 'alice' })
        expect('a' in kept || 'count' in kept).toBe(other.ending === 'stored')
        expect(other.answer?.setCookies).toEqual([])
        expect(await all()).toEqual([kept])
      })
    }
  })

  test('a log-in takes along what any of two requests was told is stored', async () => {
    await everyOrder({ login, a: set('a'), b: set('b') }, async ({ login: entered, a, b, values, all }) => {
      const kept = await values(entered.answer?.cookie)
      expect(['a' in kept, 'b' in kept]).toEqual([a.ending === 'stored', b.ending === 'stored'])
      expect(await all()).toEqual([kept])
    })
  })

  test('a request under the old id never reads what a log-in writes', async () => {
    await everyOrder({ login, reader: (session) => session.get('user') }, async ({ reader, login: entered }) => {
      expect(reader.result).toBeUndefined()
      expect(reader.answer?.setCookies).toEqual([])
      expect(entered.ending).toBe('stored')
    })
  })

  test('of two log-ins with the same id one wins, and the other is told', async () => {
    const loginAsBob: Work = (session) => {
      session.set('user', 'bob')
      session.regenerate({ authenticated: true })
    }
    await everyOrder({ login, bob: loginAsBob }, async ({ old, login: alice, bob, values, all }) => {
      const late = [alice, bob].find(cameLate)
      const [winner, loser] = alice.ending === 'stored' && alice !== late ? [alice, bob] : [bob, alice]
      const nameOf = (run: Run): string => (run === alice ? 'alice' : 'bob')
      const kept = { cart: 1, user: nameOf(winner) }
      const anew = late && { user: nameOf(late) }
      expect([winner.ending, loser.ending]).toEqual(['stored', late ? 'stored' : 'gone'])
      expect(loser.answer?.setCookies).toHaveLength(late ? 1 : 0)
      expect(await values(old)).toEqual({})
      expect(await values(winner.answer?.cookie)).toEqual(kept)
      expect(await values(loser.answer?.cookie)).toEqual(anew ?? {})
      expect(await all()).toHaveLength(late ? 2 : 1)
    })
  })

  test('a log-out ends what a log-in at the same time has begun', async () => {
    await everyOrder({ login, out: terminate }, async ({ login: entered, out, all }) => {
      expect(out.ending).toBe('stored')
      expect(await all()).toEqual(cameLate(entered) ? [{ user: 'alice' }] : [])
    })
  })

  test('a log-out ends all that a save and a log-in at the same time have left', async () => {
    const save: Work = (session) => {
      session.set('a', 'saved')
      return session.save()
    }
    await everyOrder({ save, login, out: terminate }, async ({ save: saved, login: entered, out, all }) => {
      expect(['stored', 'gone']).toContain(saved.ending)
      expect(out.ending).toBe('stored')
      expect(await all()).toEqual(cameLate(entered) ? [{ user: 'alice' }] : [])
    })
  })
})

describe('a server that dies during a log-in', () => {
  test.each<[string, Work]>([
    ['set and regenerate', login],
    [
      'regenerate, set and save',
      async (session) => {
        session.regenerate({ authenticated: true })
        session.set('user', 'alice')
        await session.save()
      },
    ],
    [
      'regenerate and update',
      async (session) => {
        session.regenerate({ authenticated: true })
        await session.update('user', () => 'alice')
      },
    ],
  ])('leaves no logged-in old id, whenever it dies (%s)', async (_, work) => {
    for (let served = 0, completed = false; !completed; served++) {
      const store = memory()
      const survivor = startServer(store)
      const cookie = await newVisitor(survivor, { cart: 1 })
      const dying = startServer(dyingAfter(store, served), { autoSave: true, backendTimeout: 20 })
      const ending = await endingOf(async () => {
        const { session, respond } = await begin(dying, cookie)
        await work(session)
        await respond()
      })
      completed = ending === 'done'
      // Logged in or not, the old id still has its cart, or leads nowhere.
      expect([{ cart: 1 }, {}], `after ${served} calls`).toContainEqual(await valuesOf(survivor, cookie))
    }
  })
})

const login: Work = (session) => {
  session.set('user', 'alice')
  session.regenerate({ authenticated: true })
}

const terminate: Work = (session) => session.terminate()

const count: Work = (session) => session.update('count', (n) => ((n as number | undefined) ?? 0) + 1)

function set(key: string, value: unknown = 'set'): Work {
  return (session) => session.set(key, value)
}

/** A log-in that found its session gone has begun a fresh one, which knows nothing of the old. */
function cameLate({ found }: Run): boolean {
  return found.length === 0
}

/** One request of a scene, and how it ended. */
interface Run {
  /** The keys there were when it arrived. */
  found: string[]
  toldGone: boolean
  ending: 'stored' | 'gone' | 'unfinished'
  result?: unknown
  answer?: Answer
}

type Ended<Name extends string> = Record<Name, Run> & {
  /** The cookie that all requests came with. */
  old: string
  runs: Run[]
  values: (cookie: string | undefined) => Promise<Record<string, unknown>>
  /** The values of every session that the store still holds, whether or not anybody has its cookie. */
  all: () => Promise<Record<string, unknown>[]>
}

/** Plays requests of one visitor, each on a server of its own, in all orders; `check` sees how each play ended. */
async function everyOrder<Name extends string>(
  works: Record<Name, Work>,
  check: (ended: Ended<Name>) => Promise<void>,
): Promise<void> {
  const plays = await everyInterleaving(async () => {
    const { backend: store, calls } = recordingBackend(memory())
    const server = startServer(store, { clock: manualClock().now })
    const old = await newVisitor(server, { cart: 1 })
    const names = Object.keys(works) as Name[]
    const runs: Run[] = names.map(() => ({ found: [], toldGone: false, ending: 'unfinished' }))
    const values = (cookie: string | undefined) => valuesOf(server, cookie)
    const all = async (): Promise<Record<string, unknown>[]> => {
      const keys = new Set(calls.map(({ key }) => key))
      const entries = await Promise.all([...keys].map((key) => store.read(key, manualClock().now())))
      return entries.flatMap((entry) => valuesAtRest(entry?.value))
    }
    return {
      store,
      requests: runs.map((run, index) => (backend) => {
        // Each clock runs ahead of the store's last write, so that every reader finds a touch due.
        const clock = manualClock(manualClock().now() + (index + 1) * 5_000).now
        return play(run, startServer(backend, { ...options(run), clock }), old, works[names[index]!])
      }),
      check: async () => {
        for (const { answer } of runs) expect(answer?.setCookies.length).toBeLessThanOrEqual(1)
        const byName = Object.fromEntries(runs.map((run, index) => [names[index], run]))
        await check({ ...byName, old, runs, values, all } as Ended<Name>)
      },
    }
  })
  // Even two requests that only read would have six orders.
  expect(plays).toBeGreaterThanOrEqual(6)
}

function options(run: Run): Partial<SessionsOptions> {
  return {
    autoSave: true,
    touchInterval: 0,
    backendTimeout: 60_000,
    onEvent: ({ type }) => void (run.toldGone ||= type === 'gone'),
  }
}

async function play(run: Run, sessions: Sessions, cookie: string, work: Work): Promise<void> {
  const { session, respond } = await begin(sessions, cookie)
  run.found = session.keys()
  const ending = await endingOf(async () => (run.result = await work(session)))
  run.answer = await respond()
  if (ending !== 'done' && ending !== 'ERR_SESSION_GONE') throw ending
  run.ending = run.toldGone || ending !== 'done' ? 'gone' : 'stored'
}

/** Reads the record's lines without the library: a session that only its own reader could find would be missed. */
function valuesAtRest(value: Uint8Array | undefined): Record<string, unknown>[] {
  const [head = '', ...lines] = new TextDecoder().decode(value).split('\n')
  if (value === undefined || head.split(' ')[3] === 'gone') return []
  const pairs = lines.filter(Boolean).map((line) => line.split('\t').map((text): unknown => JSON.parse(text)))
  return [Object.fromEntries(pairs) as Record<string, unknown>]
}

/** A store that sees no more of a process than its first calls. */
function dyingAfter(store: Backend, served: number): Backend {
  let calls = 0
  return wrapBackend(store, async ({ run }) => {
    if (calls++ < served) return run()
    throw new Error('the process has ended')
  })
}
