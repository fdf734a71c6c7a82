import assert from 'node:assert/strict'
import { cases, each, type ScenarioCase } from './http-case.js'
import { change, codeOf, pieces, set, show } from './http-pages.js'
import type { ScenarioAnswer } from './http-scene.js'

/* Every kind of answer waits until its session is stored, and nothing of it leaves if that fails. */

const SECRET_PAGE = 'for the eyes of nobody'

const answers: Readonly<Record<string, () => ScenarioAnswer>> = {
  plain: () => ({ status: 200, headers: { etag: '"1"' }, body: SECRET_PAGE }),
  redirect: () => ({ status: 302, headers: { location: '/elsewhere' } }),
  streamed: () => ({ status: 200, headers: { etag: '"1"' }, body: pieces(SECRET_PAGE, SECRET_PAGE) }),
}

/** Milliseconds: long enough for an answer that does not wait to be seen first. */
const SLOW_WRITE = 20

const storing = cases(
  { cookie: true },
  {
    ...each(answers, (kind, answer) => ({
      [`a ${kind} answer begins only after its session is stored`]: async (scene) => {
        await scene.open({ '/': change((session) => session.set('user', 'ada'), answer) })
        const { reply, log } = await scene.watch(scene.visitor(), '/', SLOW_WRITE)
        assert.equal(reply.status, answer().status)
        assert.deepEqual(log, ['stored', 'head'])
      },
    })),
    'an answer to HEAD begins only after its session is stored, brings the cookie, and has no body': async (scene) => {
      await scene.open({ '/set': set('user', 'ada'), '/': show('user') })
      const visitor = scene.visitor()
      const { reply, log } = await scene.watch(visitor, '/set', SLOW_WRITE, { method: 'HEAD' })
      assert.deepEqual(log, ['stored', 'head'])
      assert.deepEqual([reply.status, reply.body, reply.setCookies.length], [200, '', 1])
      assert.equal((await visitor.get('/')).body, 'ada')
    },
    'a visitor who follows a redirect at once finds there what was set before it': async (scene) => {
      const away = { status: 303, headers: { location: '/home' } }
      await scene.open({
        '/log-in': change((session) => session.set('user', 'ada'), away),
        '/home': show('user'),
      })
      const visitor = scene.visitor()
      const { headers } = await visitor.get('/log-in')
      assert.equal((await visitor.get(headers.location ?? '')).body, 'ada')
    },
  },
)

const failingToStore = cases(
  { cookie: true },
  each(answers, (kind, answer) => ({
    [`nothing of a ${kind} answer leaves when its session can't be stored`]: async (scene) => {
      const prepared = { ...answer().headers, 'set-cookie': ['flash=hello; Path=/'] }
      await scene.open({
        '/': async ({ session }) => {
          const mine = await session()
          mine.set('user', 'ada')
          scene.backend.isDown = true
          return { ...answer(), headers: prepared }
        },
        '/read': show('user'),
      })
      const visitor = scene.visitor()
      const reply = await visitor.get('/')
      assert.equal(reply.status, 503, `expected 503, the status of the error, but it was ${reply.status}`)
      const { location, etag } = reply.headers
      assert.deepEqual(
        { location, etag, cookies: reply.setCookies },
        { location: undefined, etag: undefined, cookies: [] },
      )
      assert.ok(!reply.body.includes(SECRET_PAGE), 'the prepared body')
      scene.backend.isDown = false
      assert.equal((await visitor.get('/read')).status, 200, 'once the backend is back')
    },
  })),
)

const failingToRead: ScenarioCase[] = [
  ...cases(
    {},
    {
      "a session that can't be read rejects in the handler, who may answer all the same": async (scene) => {
        await scene.open({
          '/': async ({ session }) => {
            const error = await codeOf(session)
            return { status: 200, body: error }
          },
        })
        const visitor = await scene.visitorWith({ user: 'ada' })
        scene.backend.isDown = true
        const reply = await visitor.get('/')
        assert.deepEqual([reply.status, reply.body, reply.setCookies], [200, 'ERR_BACKEND', []])
      },
    },
  ),
  ...unreadable(true, 503),
  ...unreadable(false, 500),
]

function unreadable(errorStatus: boolean, status: number): ScenarioCase[] {
  return cases(
    { errorStatus },
    {
      [`a session that can't be read is answered with ${status}, and logs nobody out`]: async (scene) => {
        await scene.open({ '/': show('user') })
        const visitor = await scene.visitorWith({ user: 'ada' })
        scene.backend.isDown = true
        const reply = await visitor.get('/')
        assert.deepEqual([reply.status, reply.setCookies], [status, []])
        scene.backend.isDown = false
        assert.equal((await visitor.get('/')).body, 'ada')
      },
    },
  )
}

export const answering: ScenarioCase[] = [...storing, ...failingToStore, ...failingToRead]
