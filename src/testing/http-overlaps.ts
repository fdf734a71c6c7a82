import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { getSession } from '../ambient.js'
import { cases, type ScenarioCase } from './http-case.js'
import { change, codeOf, latch, logIn, logOut, meetingOf, set, show, slowly, textOf } from './http-pages.js'
import type { ScenarioHandler, Scene } from './http-scene.js'

/* Requests that are under way at the same time, by one visitor or by several. */

const moving = cases(
  { cookie: true },
  {
    'a log-in moves to a new cookie: the old one neither sees nor changes the session': async (scene) => {
      await scene.open({ '/log-in': change(logIn), '/steal': set('user', 'eve'), '/': show('user', 'cart') })
      const visitor = await scene.visitorWith({ cart: 'book' })
      const thief = visitor.clone()
      await visitor.get('/log-in')
      assert.notEqual(visitor.cookie, thief.cookie)
      assert.equal((await thief.get('/')).body, 'nothing nothing')
      assert.deepEqual((await thief.get('/steal')).setCookies, [], 'cookies for the old id')
      assert.equal((await thief.get('/')).body, 'nothing nothing')
      assert.equal((await visitor.get('/')).body, 'ada book')
    },
    'a log-out during a slow request stays a log-out, and the slow answer sets no cookie': async (scene) => {
      const [arrived, go] = [latch(), latch()]
      await scene.open({
        '/log-out': change(logOut),
        '/slow': slowly(arrived, go, (session) => session.set('cart', 'book')),
        '/': show('user', 'cart'),
      })
      const visitor = await scene.visitorWith({ user: 'ada' })
      const [slow, thief] = [visitor.clone(), visitor.clone()]
      const answer = slow.get('/slow')
      await arrived.opened
      await visitor.get('/log-out')
      go.open()
      assert.deepEqual((await answer).setCookies, [])
      assert.equal((await thief.get('/')).body, 'nothing nothing')
    },
    'two requests at once that set different keys both win': async (scene) => {
      const meeting = meetingOf(2)
      const setTogether = (key: string): ScenarioHandler =>
        change(async (session) => {
          await meeting()
          session.set(key, 'kept')
        })
      await scene.open({
        '/one': setTogether('one'),
        '/other': setTogether('other'),
        '/': show('one', 'other', 'user'),
      })
      const visitor = await scene.visitorWith({ user: 'ada' })
      await Promise.all([visitor.get('/one'), visitor.get('/other')])
      assert.equal((await visitor.get('/')).body, 'kept kept ada')
    },
  },
)

const NAMES = ['ada', 'bob', 'cleo', 'dan', 'eve', 'fay']

/** What each of many visitors is told whose requests are all under way when `look` looks for their sessions again. */
async function lookTogether(scene: Scene, look: () => Promise<unknown[]>): Promise<string[]> {
  const meeting = meetingOf(NAMES.length)
  await scene.open({
    '/': async ({ session }) => {
      const before = await session()
      await meeting()
      await sleep(1)
      const found = [before.get('user'), ...(await look()), (await session()).get('user')]
      return { status: 200, body: found.map(textOf).join(' ') }
    },
  })
  const visitors = await Promise.all(NAMES.map((user) => scene.visitorWith({ user })))
  const replies = await Promise.all(visitors.map((visitor) => visitor.get('/')))
  return replies.map(({ body }) => body)
}

const together: ScenarioCase[] = [
  ...cases(
    { asyncContext: true },
    {
      "overlapping requests never see each other's session": async (scene) => {
        const users = async (): Promise<unknown[]> => {
          const found = [await getSession(), await scene.sessions.current()]
          return found.map((session) => session.get('user'))
        }
        const bodies = await lookTogether(scene, users)
        assert.deepEqual(
          bodies,
          NAMES.map((name) => `${name} ${name} ${name} ${name}`),
        )
      },
    },
  ),
  ...cases(
    { asyncContext: false },
    {
      "overlapping requests never see each other's session, and none without the request, as declared": async (
        scene,
      ) => {
        const codes = (): Promise<string[]> => Promise.all([codeOf(getSession), codeOf(() => scene.sessions.current())])
        const bodies = await lookTogether(scene, codes)
        assert.deepEqual(
          bodies,
          NAMES.map((name) => `${name} ERR_NO_REQUEST ERR_NO_REQUEST ${name}`),
        )
      },
    },
  ),
]

export const overlapping: ScenarioCase[] = [...moving, ...together]
