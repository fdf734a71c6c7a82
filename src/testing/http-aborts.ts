import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { cases, type Play, type ScenarioCase } from './http-case.js'
import { change, codeOf, latch, show, slowly } from './http-pages.js'
import type { Scene, Visitor } from './http-scene.js'

/* Visitors who go away before they have their answer. The handler runs on, and what it does counts. */

/** Milliseconds. */
const PATIENCE = 2000
const STEP = 5
const LEFT_OPEN = 300
const SLOW_WRITE = 20

/** Makes the visitor go away when `begun` opens. Resolves when the server has had time to notice. */
async function leave(
  scene: Scene,
  visitor: Visitor,
  path: string,
  begun: Promise<void>,
  onChunk?: () => void,
): Promise<void> {
  const leaving = new AbortController()
  const visit = visitor.clone().get(path, { leave: leaving.signal, ...(onChunk && { onChunk }) })
  // Not awaited: workerd's client never says that it was broken off.
  visit.catch(() => undefined)
  await begun
  leaving.abort()
  await scene.visitor().get('/')
}

async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (let waited = 0; !isTrue(); waited += STEP) {
    assert.ok(waited < PATIENCE, `waited ${PATIENCE} ms for this, in vain: ${what}`)
    await sleep(STEP)
  }
}

const leavingHandlers: ScenarioCase[] = [
  ...cases(
    { cookie: true },
    {
      'what was changed for a visitor who goes away while it is being stored is stored': async (scene) => {
        const changed = latch()
        await scene.open({
          '/set': change((session) => {
            session.set('cart', 'book')
            changed.open()
          }),
          '/': show('user', 'cart'),
        })
        const visitor = await scene.visitorWith({ user: 'ada' })
        const stored = latch()
        scene.backend.onStored = stored.open
        scene.backend.writeDelay = SLOW_WRITE
        await leave(scene, visitor, '/set', changed.opened)
        await until('the session is stored', () => stored.isOpen)
        assert.equal((await visitor.get('/')).body, 'ada book')
      },
      "a session that can't be stored for a visitor who went away harms nobody else": async (scene) => {
        const changed = latch()
        await scene.open({
          '/set': change((session) => {
            session.set('cart', 'book')
            scene.backend.isDown = true
            changed.open()
          }),
          '/': show('user'),
        })
        const visitor = await scene.visitorWith({ user: 'ada' })
        scene.backend.writeDelay = SLOW_WRITE
        await leave(scene, visitor, '/set', changed.opened)
        await until('the backend is asked', () => scene.backend.calls.includes('replace'))
        scene.backend.isDown = false
        const reply = await visitor.get('/')
        assert.deepEqual([reply.status, reply.body], [200, 'ada'])
      },
    },
  ),
  ...cases(
    { cookie: true, finishHandler: true },
    {
      'what is changed for a visitor who went away while the handler runs is stored': async (scene) => {
        const [arrived, go] = [latch(), latch()]
        await scene.open({
          '/slow': slowly(arrived, go, (session) => session.set('cart', 'book')),
          '/': show('user', 'cart'),
        })
        const visitor = await scene.visitorWith({ user: 'ada' })
        const stored = latch()
        scene.backend.onStored = stored.open
        await leave(scene, visitor, '/slow', arrived.opened)
        go.open()
        await until('the session is stored', () => stored.isOpen)
        assert.equal((await visitor.get('/')).body, 'ada book')
      },
    },
  ),
  ...cases(
    { cookie: true, finishHandler: false },
    {
      'the commit comes when the visitor goes away, as declared: set is refused then, and update works': async (
        scene,
      ) => {
        const [arrived, go, done] = [latch(), latch(), latch()]
        let code = ''
        await scene.open({
          '/slow': change(async (session) => {
            session.set('cart', 'book')
            arrived.open()
            await go.opened
            code = await codeOf(() => session.set('cart', 'pen'))
            await session.update('user', () => 'lovelace')
            done.open()
          }),
          '/': show('user', 'cart'),
        })
        const visitor = await scene.visitorWith({ user: 'ada' })
        const stored = latch()
        scene.backend.onStored = stored.open
        await leave(scene, visitor, '/slow', arrived.opened)
        await until(
          'what was changed before the visitor left is stored when he leaves, as finishHandler: false declares',
          () => stored.isOpen,
        )
        go.open()
        await done.opened
        assert.equal(code, 'ERR_COMMITTED')
        assert.equal((await visitor.get('/')).body, 'lovelace book')
      },
    },
  ),
]

/** Sends a body without an end to a visitor who goes away when it has begun; `look` finds out what becomes of it. */
function leavingStream(look: (isClosed: () => boolean) => Promise<void>): Play {
  return async (scene) => {
    const [begun, closed, over] = [latch(), latch(), latch()]
    async function* endless(): AsyncIterable<string> {
      try {
        for (; !over.isOpen; await sleep(1)) yield 'more and '
      } finally {
        closed.open()
      }
    }
    await scene.open({
      '/stream': change(
        (session) => session.set('cart', 'book'),
        () => ({ status: 200, body: endless() }),
      ),
      '/': show('user', 'cart'),
    })
    const visitor = await scene.visitorWith({ user: 'ada' })
    try {
      await leave(scene, visitor, '/stream', begun.opened, begun.open)
      await look(() => closed.isOpen)
    } finally {
      over.open()
    }
    assert.equal((await visitor.get('/')).body, 'ada book')
  }
}

const leavingStreams: ScenarioCase[] = [
  ...cases(
    { cookie: true, stream: true, cancel: true },
    {
      'the body of a visitor who went away is closed, and what was changed before it is stored': leavingStream(
        (isClosed) => until('the body is closed', isClosed),
      ),
    },
  ),
  ...cases(
    { cookie: true, stream: true, cancel: false },
    {
      'the body of a visitor who went away is not closed, as declared, and what was changed before it is stored':
        leavingStream(async (isClosed) => {
          for (let waited = 0; waited < LEFT_OPEN; waited += STEP) {
            assert.ok(!isClosed(), 'the body was closed: declare cancel: true')
            await sleep(STEP)
          }
        }),
    },
  ),
]

export const aborting: ScenarioCase[] = [...leavingHandlers, ...leavingStreams]
