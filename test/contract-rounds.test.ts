import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SessionEvent } from '../src/index.js'
import { backendKinds, type SharedBackend } from './helpers/contract-backends.js'
import { begin, newVisitor, startServer, valuesOf } from './helpers/contract-requests.js'
import { rounds, type Work } from './helpers/contract-rounds.js'

// Often enough for a race of one in a thousand to show.

/** Milliseconds. 500 rounds at once on a busy machine are no outage. */
const backendTimeout = 30_000

// Seconds on an idle machine; a busy one must not look like a bug.
describe.each(backendKinds)('on $name', { timeout: 120_000 }, ({ start }) => {
  let shared: SharedBackend
  beforeAll(async () => {
    shared = await start()
  })
  afterAll(() => shared.stop())

  test('two requests on two servers that change different keys at the same time both win, 10,000 times', async () => {
    const events = new Set<string>()
    const wrong: object[] = []
    const onEvent = ({ type }: SessionEvent): unknown => events.add(type)
    const one = startServer(shared.connect(), { autoSave: true, onEvent, backendTimeout })
    const other = startServer(shared.connect(), { autoSave: true, onEvent, backendTimeout })

    await rounds(10_000, 500, async (round) => {
      const [work, otherWork, expected] = pairs[round % pairs.length]!
      const cookie = await newVisitor(one, { x: 'old', y: 'old', z: 'kept' })
      const requests = await Promise.all([begin(one, cookie), begin(other, cookie)])
      await Promise.all([work(requests[0].session), otherWork(requests[1].session)])
      // Whose response begins first must not matter either.
      const inOrder = round % 2 === 0 ? requests : requests.toReversed()
      await Promise.all(inOrder.map(({ respond }) => respond()))

      const { session } = await begin(other, cookie)
      const values = { ...Object.fromEntries(session.entries()), timeout: session.timeout }
      if (!same(values, expected)) wrong.push({ round, values, expected })
    })
    expect(wrong).toEqual([])
    // They did get in each other's way.
    expect([...events]).toEqual(['conflict'])
  })

  test.each([
    { where: 'in one request', servers: 1, requests: 1 },
    { where: 'on one server', servers: 1, requests: 8 },
    { where: 'on four servers', servers: 4, requests: 8 },
  ])('8 loops of 1,000 updates at once, $where, all resolve, and none is lost', async ({ servers, requests }) => {
    const all = Array.from({ length: servers }, () => startServer(shared.connect(), { backendTimeout }))
    const cookie = await newVisitor(all[0]!, { count: 0 })
    const opened = await Promise.all(Array.from({ length: requests }, (_, n) => begin(all[n % servers]!, cookie)))
    const results = await Promise.all(
      Array.from({ length: 8 }, async (_, loop) => {
        const { session } = opened[loop % requests]!
        const counts: unknown[] = []
        while (counts.length < 1000) counts.push(await session.update('count', (n) => (n as number) + 1))
        return counts
      }),
    )
    expect(await valuesOf(all[0]!, cookie)).toEqual({ count: 8000 })
    // No two updates built on the same value.
    expect(new Set(results.flat()).size).toBe(8000)
  })
})

/** What two requests do at the same time, and what must come of it. Deletions and timeouts are changes too. */
const pairs: readonly (readonly [Work, Work, Record<string, unknown>])[] = [
  [setter('x'), setter('y'), { x: 'new', y: 'new', z: 'kept', timeout: 0 }],
  [deleter('x'), setter('y'), { y: 'new', z: 'kept', timeout: 0 }],
  [setter('fresh'), deleter('y'), { x: 'old', z: 'kept', fresh: 'new', timeout: 0 }],
  [deleter('x'), deleter('y'), { z: 'kept', timeout: 0 }],
  [(session) => (session.timeout = 900), setter('x'), { x: 'new', y: 'old', z: 'kept', timeout: 900 }],
  [(session) => session.update('x', () => 'new'), deleter('y'), { x: 'new', z: 'kept', timeout: 0 }],
]

function setter(key: string): Work {
  return (session) => session.set(key, 'new')
}

function deleter(key: string): Work {
  return (session) => session.delete(key)
}

function same(one: object, other: object): boolean {
  const sorted = (values: object): string => JSON.stringify(Object.entries(values).map(String).toSorted())
  return sorted(one) === sorted(other)
}
