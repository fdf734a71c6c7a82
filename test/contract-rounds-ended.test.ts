import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { manualClock } from './helpers/clock.js'
import { backendKinds, type SharedBackend } from './helpers/contract-backends.js'
import { newVisitor, request, startServer, valuesOf } from './helpers/contract-requests.js'
import { type Order, orders, overlap, rounds, type Work } from './helpers/contract-rounds.js'

// Sessions that were logged out, or moved to a new id, while another request was still busy with them.

describe.each(backendKinds)('on $name', ({ start }) => {
  let shared: SharedBackend
  beforeAll(async () => {
    shared = await start()
  })
  afterAll(() => shared.stop())

  test('a log-out is not undone by a slow request, whatever that does, 1,000 times', async () => {
    const [backend, otherServer] = [shared.connect(), startServer(shared.connect())]
    const kinds = Object.keys(slowWork)

    await rounds(1000, 100, async (round) => {
      const order = orders[round % orders.length]!
      const kind = kinds[Math.floor(round / orders.length) % kinds.length]!
      const events: string[] = []
      const slowServer = startServer(backend, {
        autoSave: true,
        // On a server whose clock runs ahead every request finds a touch due.
        clock: () => Date.now() + 5_000,
        touchInterval: 0,
        onEvent: ({ type }) => void events.push(type),
      })
      const cookie = await newVisitor(otherServer, { user: 'alice', cart: ['book'] })
      const [slow, goodbye] = await overlap(order, { sessions: slowServer, cookie, work: slowWork[kind]! }, () =>
        request(otherServer, cookie, (session) => session.terminate()),
      )

      const seen = {
        ending: slow.ending,
        gone: events.includes('gone'),
        cookies: slow.answer.setCookies.length,
        newId: await valuesOf(otherServer, slow.answer.cookie),
        oldId: await valuesOf(otherServer, cookie),
      }
      expect(endingsAfterLogOut(order, kind), `round ${round}, ${kind}: ${order}`).toContainEqual(seen)
      expect(goodbye.setCookies).toEqual([expect.stringContaining('Max-Age=0')])
    })
  })

  test.each([
    ['was logged out, and whose tombstone has gone too', 300_000],
    ['has expired', 3_600_000],
  ])('nothing brings back a session that %s while a slow request worked', async (how, wait) => {
    const clock = manualClock()
    const events: string[] = []
    const sessions = startServer(shared.connect(), {
      autoSave: true,
      timeout: 3600,
      touchInterval: 0,
      clock: clock.now,
      onEvent: ({ type }) => void events.push(type),
    })
    for (const [kind, work] of Object.entries(slowWork)) {
      const cookie = await newVisitor(sessions, { user: 'alice' })
      const [slow] = await overlap('it responds after the other', { sessions, cookie, work }, async () => {
        if (how !== 'has expired') await request(sessions, cookie, (session) => session.terminate())
        clock.advance(wait)
      })
      const rejects = kind === 'save' || kind === 'update'
      expect([kind, slow.ending]).toEqual([kind, rejects ? 'ERR_SESSION_GONE' : 'done'])
      expect([kind, slow.answer.setCookies]).toEqual([kind, []])
      expect([kind, events.splice(0)]).toEqual([kind, kind === 'update' ? [] : ['gone']])
      expect(await valuesOf(sessions, cookie)).toEqual({})
    }
  })

  test('the id from before a log-in neither sees nor replaces the new session, 1,000 times', async () => {
    const [backend, otherServer] = [shared.connect(), startServer(shared.connect(), { autoSave: true })]
    const kinds = Object.keys(staleWork)

    await rounds(1000, 100, async (round) => {
      const order = orders[round % orders.length]!
      const kind = kinds[Math.floor(round / orders.length) % kinds.length]!
      const events: string[] = []
      const staleServer = startServer(backend, { autoSave: true, onEvent: ({ type }) => void events.push(type) })
      const cookie = await newVisitor(otherServer, { cart: ['book'] })
      const [stale, welcome] = await overlap(order, { sessions: staleServer, cookie, work: staleWork[kind]! }, () =>
        request(otherServer, cookie, (session) => {
          session.set('user', 'alice')
          session.regenerate({ authenticated: true })
        }),
      )

      const seen = {
        found: stale.found,
        wasStored: stale.ending === 'done' && !events.includes('gone'),
        cookies: stale.answer.setCookies.length,
        newId: await valuesOf(otherServer, welcome.cookie),
        oldId: await valuesOf(otherServer, cookie),
      }
      expect(endingsAfterLogIn(order), `round ${round}, ${kind}: ${order}`).toContainEqual(seen)
    })
  })
})

const slowWork: Record<string, Work> = {
  set: (session) => session.set('user', 'alice again'),
  save: (session) => {
    session.set('user', 'alice again')
    return session.save()
  },
  update: (session) => session.update('user', () => 'alice again'),
  read: (session) => session.get('user'),
  regenerate: (session) => {
    session.set('user', 'alice again')
    session.regenerate()
  },
}

const staleWork: Record<string, Work> = {
  set: (session) => session.set('note', 'under the old id'),
  save: (session) => {
    session.set('note', 'under the old id')
    return session.save()
  },
  update: (session) => session.update('note', () => 'under the old id'),
}

/** How a slow request may end, and what there is after it. */
function endingsAfterLogOut(order: Order, kind: string): object[] {
  const rejects = kind === 'save' || kind === 'update'
  const lost = {
    ending: rejects ? 'ERR_SESSION_GONE' : 'done',
    // A request that only reads has nothing to lose, and one that has caught the error knows.
    gone: kind !== 'read' && kind !== 'update',
    cookies: 0,
    newId: {},
    oldId: {},
  }
  const cameFirst = { ...lost, ending: 'done', gone: false, cookies: kind === 'regenerate' ? 1 : 0 }
  if (order === 'both respond at once') return [lost, cameFirst]
  // The one way to a fresh session, which knows nothing of the old one.
  const startsAnew = { ...cameFirst, newId: { user: 'alice again' } }
  return order === 'it arrives after the other' && kind === 'regenerate' ? [startsAnew] : [lost]
}

function endingsAfterLogIn(order: Order): object[] {
  const found = order === 'it arrives after the other' ? [] : ['cart']
  const lost = { found, wasStored: false, cookies: 0, newId: { cart: ['book'], user: 'alice' }, oldId: {} }
  // What was acknowledged before the move has come along.
  const kept = { ...lost, wasStored: true, newId: { ...lost.newId, note: 'under the old id' } }
  return order === 'both respond at once' ? [lost, kept] : [lost]
}
