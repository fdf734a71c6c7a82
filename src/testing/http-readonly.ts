import assert from 'node:assert/strict'
import { cases, type ScenarioCase } from './http-case.js'
import { change, codeOf, show, textOf } from './http-pages.js'

/* Where no response can set a cookie, as in a server component: what works there, and how the rest is refused. */

export const readingOnly: ScenarioCase[] = cases(
  { cookie: false },
  {
    'a change is refused with ERR_COMMITTED, and sets no cookie, as declared': async (scene) => {
      await scene.open({
        '/set': async ({ session }) => {
          const mine = await session()
          return { status: 200, body: await codeOf(() => mine.set('user', 'eve')) }
        },
        '/update': async ({ session }) => {
          const mine = await session()
          return { status: 200, body: await codeOf(() => mine.update('user', () => 'eve')) }
        },
        '/': show('user'),
      })
      const known = await scene.visitorWith({ user: 'ada' })
      for (const [visitor, path] of [
        [known, '/set'],
        [scene.visitor(), '/set'],
        [scene.visitor(), '/update'],
      ] as const) {
        const reply = await visitor.get(path)
        assert.deepEqual([reply.body, reply.setCookies], ['ERR_COMMITTED', []], path)
      }
      assert.equal((await known.get('/')).body, 'ada')
    },
    'update works for a session that has a cookie': async (scene) => {
      await scene.open({
        '/update': change((session) => session.update('user', (user) => `${textOf(user)} lovelace`)),
        '/': show('user'),
      })
      const visitor = await scene.visitorWith({ user: 'ada' })
      assert.deepEqual((await visitor.get('/update')).setCookies, [])
      assert.equal((await visitor.get('/')).body, 'ada lovelace')
    },
    'terminate ends a session for good, and leaves a cookie that opens nothing': async (scene) => {
      await scene.open({ '/log-out': change((session) => session.terminate()), '/': show('user') })
      const visitor = await scene.visitorWith({ user: 'ada' })
      assert.deepEqual((await visitor.get('/log-out')).setCookies, [])
      const reply = await visitor.get('/')
      assert.deepEqual([reply.status, reply.body], [200, 'nothing'])
    },
    'two requests at once that update different keys both win': async (scene) => {
      const update = (key: string) => change((session) => session.update(key, () => 'kept'))
      await scene.open({ '/one': update('one'), '/other': update('other'), '/': show('one', 'other', 'user') })
      const visitor = await scene.visitorWith({ user: 'ada' })
      await Promise.all([visitor.get('/one'), visitor.get('/other')])
      assert.equal((await visitor.get('/')).body, 'kept kept ada')
    },
  },
)
