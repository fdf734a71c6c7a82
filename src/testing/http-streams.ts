import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { cases, type Play, type ScenarioCase } from './http-case.js'
import { change, codeOf, latch, piecesAfter, show, textOf } from './http-pages.js'

/* Bodies that are made while they are sent. */

const STEP = 5

/** Waits so many milliseconds at most between two pieces, and tells in the second whether the first had arrived then. */
function observing(milliseconds: number, outcome: string): Play {
  return async (scene) => {
    const arrived = latch()
    async function* body(): AsyncIterable<string> {
      yield 'The first piece '
      for (let waited = 0; !arrived.isOpen && waited < milliseconds; waited += STEP) await sleep(STEP)
      yield arrived.isOpen ? 'arrived before the second' : 'waited for the second'
    }
    const answer = { status: 200, body: body() }
    await scene.open({ '/': change((session) => session.get('user'), answer) })
    const reply = await scene.visitor().get('/', { onChunk: arrived.open })
    assert.equal(reply.body, `The first piece ${outcome}`)
  }
}

const passingOn: ScenarioCase[] = [
  ...cases(
    { cookie: true, stream: true },
    { 'a streamed body arrives piece by piece': observing(2000, 'arrived before the second') },
  ),
  ...cases(
    { cookie: true, stream: false },
    { 'a streamed body arrives as a whole, as declared': observing(500, 'waited for the second') },
  ),
]

const late = cases(
  { cookie: true, stream: true },
  {
    'changing the session after the answer began throws ERR_COMMITTED': async (scene) => {
      const begun = latch()
      await scene.open({
        '/late': async ({ session }) => {
          const mine = await session()
          return { status: 200, body: piecesAfter(begun, () => codeOf(() => mine.set('user', 'eve'))) }
        },
        '/': show('user'),
      })
      const visitor = await scene.visitorWith({ user: 'ada' })
      assert.equal((await visitor.get('/late', { onChunk: begun.open })).body, 'begun ERR_COMMITTED')
      assert.equal((await visitor.get('/')).body, 'ada')
    },
    'a session that is first asked for after the answer began can be read, and not changed': async (scene) => {
      const begun = latch()
      await scene.open({
        '/late': async ({ session }) => {
          const look = async (): Promise<string> => {
            const mine = await session()
            return `${textOf(mine.get('user'))} ${await codeOf(() => mine.set('user', 'eve'))}`
          }
          return { status: 200, body: piecesAfter(begun, look) }
        },
      })
      const visitor = await scene.visitorWith({ user: 'ada' })
      const reply = await visitor.get('/late', { onChunk: begun.open })
      assert.deepEqual([reply.body, reply.setCookies], ['begun ada ERR_COMMITTED', []])
    },
    'no session can begin after the answer began, since its cookie could not follow': async (scene) => {
      const begun = latch()
      await scene.open({
        '/late': async ({ session }) => {
          const mine = await session()
          return { status: 200, body: piecesAfter(begun, () => codeOf(() => mine.update('user', () => 'eve'))) }
        },
      })
      const reply = await scene.visitor().get('/late', { onChunk: begun.open })
      assert.deepEqual([reply.body, reply.setCookies], ['begun ERR_COMMITTED', []])
      assert.deepEqual(scene.backend.calls, [])
    },
    'update and terminate still work after the answer began': async (scene) => {
      const [updating, leaving] = [latch(), latch()]
      await scene.open({
        '/update': async ({ session }) => {
          const mine = await session()
          return {
            status: 200,
            body: piecesAfter(updating, () => mine.update('user', (user) => `${textOf(user)} lovelace`)),
          }
        },
        '/terminate': async ({ session }) => {
          const mine = await session()
          return { status: 200, body: piecesAfter(leaving, () => mine.terminate()) }
        },
        '/': show('user'),
      })
      const visitor = await scene.visitorWith({ user: 'ada' })
      assert.equal((await visitor.get('/update', { onChunk: updating.open })).body, 'begun ada lovelace')
      assert.equal((await visitor.get('/')).body, 'ada lovelace')
      assert.equal((await visitor.get('/terminate', { onChunk: leaving.open })).body, 'begun nothing')
      assert.equal((await visitor.get('/')).body, 'nothing')
    },
  },
)

export const streaming: ScenarioCase[] = [...passingOn, ...late]
