import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { getSession } from '../ambient.js'
import type { Session } from '../session.js'
import {
  change,
  codeOf,
  COOKIE_NAME,
  isOurs,
  latch,
  listOf,
  meetingOf,
  page,
  pieces,
  piecesAfter,
  type ScenarioAnswer,
  type ScenarioHandler,
  Scene,
  type Serve,
  set,
  show,
  slowly,
  textOf,
} from './http-scene.js'

export type { ScenarioAnswer, ScenarioHandler, ScenarioRequest, ScenarioServer, Serve } from './http-scene.js'

/** One rule that every adapter keeps, as a test for any runner. */
export interface HttpCase {
  /** A sentence about what a visitor or an application sees. */
  name: string
  /** Rejects, saying what was expected and what came, if the adapter breaks the rule. */
  check: () => Promise<void>
}

/**
 * What a session does over HTTP, whatever the framework, as tests. For an adapter of your own, with any runner:
 *
 * ```ts
 * import { test } from 'node:test'
 * import { httpScenario } from 'vishnu/testing'
 *
 * for (const { name, check } of httpScenario(serve)) test(name, check)
 * ```
 *
 * Each case starts a server of its own by `serve`, talks to it over a real connection, and closes it.
 */
export function httpScenario(serve: Serve): HttpCase[] {
  const cases: Cases = {
    ...asking,
    ...storing,
    ...caching,
    ...ending,
    ...failing,
    ...receiving,
    ...late,
    ...overlapping,
  }
  return Object.entries(cases).map(([name, play]) => ({
    name,
    check: async () => {
      const scene = new Scene(serve)
      try {
        await play(scene)
      } finally {
        await scene.close()
      }
    },
  }))
}

/** Cases by name. Each gets a scene of its own. */
type Cases = Readonly<Record<string, (scene: Scene) => Promise<void>>>

const SECRET_PAGE = 'for the eyes of nobody'

const asking: Cases = {
  'a handler that never asks for the session costs nothing and shows nothing': async (scene) => {
    await scene.open({ '/set': set('user', 'ada'), '/': page('hello') })
    const visitor = scene.visitor()
    await visitor.get('/set')
    scene.backend.calls.length = 0
    const reply = await visitor.get('/')
    assert.deepEqual([reply.status, reply.body], [200, 'hello'])
    assert.deepEqual([reply.headers.vary, reply.headers['cache-control']], [undefined, undefined], 'headers')
    assert.deepEqual(reply.setCookies, [])
    assert.deepEqual(scene.backend.calls, [])
  },
  'reading without a cookie stores nothing, sets no cookie and keeps the page out of shared caches': async (scene) => {
    await scene.open({ '/': show('user') })
    const reply = await scene.visitor().get('/')
    assert.equal(reply.body, 'nothing')
    assert.deepEqual(listOf(reply.headers.vary), ['cookie'])
    assert.deepEqual(listOf(reply.headers['cache-control']), ['private', 'no-cache'])
    assert.deepEqual(reply.setCookies, [])
    assert.deepEqual(scene.backend.calls, [])
  },
  'what one request sets the next one reads, by one backend call and without another cookie': async (scene) => {
    await scene.open({ '/set': set('user', 'ada'), '/': show('user') })
    const visitor = scene.visitor()
    await visitor.get('/set')
    scene.backend.calls.length = 0
    const reply = await visitor.get('/')
    assert.equal(reply.body, 'ada')
    assert.deepEqual(reply.setCookies, [])
    assert.deepEqual(scene.backend.calls, ['read'])
  },
}

/** The ways to answer that must all wait for the commit. */
const answers: Readonly<Record<string, () => ScenarioAnswer>> = {
  plain: () => ({ status: 200, headers: { etag: '"1"' }, body: SECRET_PAGE }),
  redirect: () => ({ status: 302, headers: { location: '/elsewhere' } }),
  streamed: () => ({ status: 200, headers: { etag: '"1"' }, body: pieces(SECRET_PAGE, SECRET_PAGE) }),
}

const storing: Cases = {
  ...each(answers, (kind, answer) => ({
    [`a ${kind} answer begins only after its session is stored`]: async (scene) => {
      await scene.open({ '/': change((session) => session.set('user', 'ada'), answer) })
      scene.backend.writeDelay = 60
      const log: string[] = []
      scene.backend.onStored = () => log.push('stored')
      const reply = await scene.visitor().get('/', { onHead: () => log.push('head') })
      assert.equal(reply.status, answer().status)
      assert.deepEqual(log, ['stored', 'head'])
    },
  })),
  'a new session sets one cookie, with Path, HttpOnly, Secure and SameSite': async (scene) => {
    await scene.open({ '/': set('user', 'ada') })
    const { setCookies } = await scene.visitor().get('/')
    assert.equal(setCookies.length, 1)
    const [pair = '', ...attributes] = (setCookies[0] ?? '').split('; ')
    assert.match(pair, new RegExp(`^${COOKIE_NAME}=[\\w-]+$`))
    assert.deepEqual(attributes.toSorted(), ['HttpOnly', 'Path=/', 'SameSite=Lax', 'Secure'])
  },
  "the application's own cookies are sent beside ours": async (scene) => {
    const own = ['theme=dark; Path=/', 'flash=hello; Path=/']
    const answer = { status: 200, headers: { 'set-cookie': own } }
    await scene.open({ '/': change((session) => session.set('user', 'ada'), answer) })
    const { setCookies } = await scene.visitor().get('/')
    assert.equal(setCookies.length, 3)
    assert.deepEqual(setCookies.filter((line) => !isOurs(line)).toSorted(), own.toSorted())
  },
}

const caching: Cases = {
  "Vary is merged with the application's own": async (scene) => {
    const varies = ['Accept-Encoding', '*', 'cookie']
    await scene.open(routes(varies, (vary) => change((session) => session.get('user'), withHeader('vary', vary))))
    const seen = await Promise.all(varies.map((_, index) => scene.visitor().get(`/${index}`)))
    const lists = seen.map(({ headers }) => listOf(headers.vary).toSorted())
    assert.deepEqual(lists, [['accept-encoding', 'cookie'], ['*'], ['cookie']])
  },
  "Cache-Control stays the application's where no cookie of ours is sent": async (scene) => {
    const answer = withHeader('cache-control', 'public, max-age=60')
    await scene.open({ '/': change((session) => session.get('user'), answer) })
    const { headers } = await scene.visitor().get('/')
    assert.deepEqual(listOf(headers['cache-control']), ['public', 'max-age=60'])
  },
  'Cache-Control beside our cookie lets no shared cache keep it': async (scene) => {
    const own = ['private, max-age=60', 'no-store', 'public, max-age=60']
    const ways = own.map((value) => withHeader('cache-control', value))
    await scene.open(
      routes([...ways, { status: 200 }], (answer) => change((session) => session.set('user', 'ada'), answer)),
    )
    const seen: string[][] = []
    for (const path of ['/0', '/1', '/2', '/3']) {
      const { headers } = await scene.visitor().get(path)
      seen.push(listOf(headers['cache-control']))
    }
    assert.deepEqual(seen, [['private', 'max-age=60'], ['no-store'], ['no-store'], ['no-store']])
    const warnings = scene.events.filter(({ type }) => type === 'insecure')
    assert.equal(warnings.length, 1, 'one warning, for the value that was replaced')
  },
}

const logIn = (session: Session): void => {
  session.regenerate({ authenticated: true })
  session.set('user', 'ada')
}
const logOut = (session: Session): Promise<void> => session.terminate()

const ending: Cases = {
  'a log-in moves to a new cookie: the old one neither sees nor changes the session': async (scene) => {
    await scene.open({
      '/cart': set('cart', 'book'),
      '/log-in': change(logIn),
      '/steal': set('user', 'eve'),
      '/': show('user', 'cart'),
    })
    const visitor = scene.visitor()
    await visitor.get('/cart')
    const thief = visitor.clone()
    await visitor.get('/log-in')
    assert.notEqual(visitor.cookie, thief.cookie)
    assert.equal((await thief.get('/')).body, 'nothing nothing')
    assert.deepEqual((await thief.get('/steal')).setCookies, [], 'cookies for the old id')
    assert.equal((await thief.get('/')).body, 'nothing nothing')
    assert.equal((await visitor.get('/')).body, 'ada book')
  },
  'a slow request from before the log-in changes nothing after it': async (scene) => {
    const [arrived, go] = [latch(), latch()]
    await scene.open({
      '/cart': set('cart', 'book'),
      '/log-in': change(logIn),
      '/slow': slowly(arrived, go, (session) => session.set('user', 'eve')),
      '/': show('user', 'cart'),
    })
    const visitor = scene.visitor()
    await visitor.get('/cart')
    const slow = visitor.clone().get('/slow')
    await arrived.opened
    await visitor.get('/log-in')
    go.open()
    assert.deepEqual((await slow).setCookies, [])
    assert.equal((await visitor.get('/')).body, 'ada book')
  },
  'a log-out clears the cookie, and the old cookie is dead': async (scene) => {
    await scene.open({ '/log-in': change(logIn), '/log-out': change(logOut), '/': show('user') })
    const visitor = scene.visitor()
    await visitor.get('/log-in')
    const thief = visitor.clone()
    const { setCookies } = await visitor.get('/log-out')
    assert.equal(setCookies.length, 1)
    assert.match(setCookies[0] ?? '', new RegExp(`^${COOKIE_NAME}=; .*Max-Age=0`))
    assert.equal(visitor.cookie, undefined)
    assert.equal((await thief.get('/')).body, 'nothing')
  },
  'a log-out during a slow request stays a log-out, and the slow answer sets no cookie': async (scene) => {
    const [arrived, go] = [latch(), latch()]
    await scene.open({
      '/log-in': change(logIn),
      '/log-out': change(logOut),
      '/slow': slowly(arrived, go, (session) => session.set('cart', 'book')),
      '/': show('user', 'cart'),
    })
    const visitor = scene.visitor()
    await visitor.get('/log-in')
    const [slow, thief] = [visitor.clone(), visitor.clone()]
    const answer = slow.get('/slow')
    await arrived.opened
    await visitor.get('/log-out')
    go.open()
    assert.deepEqual((await answer).setCookies, [])
    assert.equal((await thief.get('/')).body, 'nothing nothing')
  },
  ...each({ '2xx': 201, '3xx': 303, '4xx': 404, '5xx': 500, thrown: undefined }, (kind, status) => {
    const end = async (): Promise<ScenarioAnswer> => {
      if (status === undefined) throw new Error('Thrown by the handler on purpose')
      return { status, headers: status === 303 ? { location: '/' } : {} }
    }
    const expected = status ?? 500
    return {
      [`terminate works with a ${kind} answer`]: async (scene) => {
        await scene.open({ '/log-in': change(logIn), '/log-out': change(logOut, end), '/': show('user') })
        const visitor = scene.visitor()
        await visitor.get('/log-in')
        const thief = visitor.clone()
        assert.equal((await visitor.get('/log-out')).status, expected)
        assert.equal(visitor.cookie, undefined)
        assert.equal((await thief.get('/')).body, 'nothing')
      },
      [`regenerate works with a ${kind} answer`]: async (scene) => {
        const regenerate = (session: Session): void => session.regenerate()
        await scene.open({ '/log-in': change(logIn), '/move': change(regenerate, end), '/': show('user') })
        const visitor = scene.visitor()
        await visitor.get('/log-in')
        const thief = visitor.clone()
        assert.equal((await visitor.get('/move')).status, expected)
        assert.notEqual(visitor.cookie, thief.cookie)
        assert.equal((await visitor.get('/')).body, 'ada')
        assert.equal((await thief.get('/')).body, 'nothing')
      },
    }
  }),
}

const failing: Cases = {
  ...each(answers, (kind, answer) => ({
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
      assert.equal(reply.status, 503)
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
  "a session that can't be read rejects in the handler, who may answer all the same": async (scene) => {
    await scene.open({
      '/set': set('user', 'ada'),
      '/': async ({ session }) => {
        const error = await codeOf(session)
        return { status: 200, body: error }
      },
    })
    const visitor = scene.visitor()
    await visitor.get('/set')
    scene.backend.isDown = true
    const reply = await visitor.get('/')
    assert.deepEqual([reply.status, reply.body, reply.setCookies], [200, 'ERR_BACKEND', []])
  },
  "a session that can't be read is answered with 503, and logs nobody out": async (scene) => {
    await scene.open({ '/set': set('user', 'ada'), '/': show('user') })
    const visitor = scene.visitor()
    await visitor.get('/set')
    scene.backend.isDown = true
    const reply = await visitor.get('/')
    assert.deepEqual([reply.status, reply.setCookies], [503, []])
    scene.backend.isDown = false
    assert.equal((await visitor.get('/')).body, 'ada')
  },
}

/** What is not ours, and some of it nobody's. */
const STRANGE_COOKIES = [
  `${COOKIE_NAME}=`,
  COOKIE_NAME,
  `${COOKIE_NAME}=garbage`,
  `${COOKIE_NAME}=1${'A'.repeat(75)}`,
  `${COOKIE_NAME}=2${'A'.repeat(70)}`,
  `${COOKIE_NAME}="quoted; ${COOKIE_NAME}=%ff%00`,
  `${COOKIE_NAME}=${'x'.repeat(5000)}`,
  `a@b=1; a(b=2; path=/; {"json":true}; ;; =; ${COOKIE_NAME}=\u00fc`,
]

const receiving: Cases = {
  'strange and forged cookies are those of a visitor without a session, and cost no backend call': async (scene) => {
    await scene.open({ '/': show('user') })
    for (const cookie of STRANGE_COOKIES) {
      const reply = await scene.visitor().get('/', { cookie })
      assert.deepEqual([reply.status, reply.body, reply.setCookies], [200, 'nothing', []], `Cookie: ${cookie}`)
    }
    assert.deepEqual(scene.backend.calls, [])
  },
  'a planted cookie of our name does not hide ours': async (scene) => {
    await scene.open({ '/set': set('user', 'ada'), '/': show('user') })
    const visitor = scene.visitor()
    await visitor.get('/set')
    const ours = `${COOKIE_NAME}=${visitor.cookie}`
    for (const cookie of [`${COOKIE_NAME}=planted; ${ours}`, `${ours}; ${COOKIE_NAME}=planted`, `${ours}; ${ours}`]) {
      assert.equal((await visitor.get('/', { cookie })).body, 'ada', `Cookie: ${cookie}`)
    }
  },
}

const late: Cases = {
  'changing the session after the answer began throws ERR_COMMITTED': async (scene) => {
    const begun = latch()
    await scene.open({
      '/set': set('user', 'ada'),
      '/late': async ({ session }) => {
        const mine = await session()
        return { status: 200, body: piecesAfter(begun, () => codeOf(() => mine.set('user', 'eve'))) }
      },
      '/': show('user'),
    })
    const visitor = scene.visitor()
    await visitor.get('/set')
    assert.equal((await visitor.get('/late', { onChunk: begun.open })).body, 'begun ERR_COMMITTED')
    assert.equal((await visitor.get('/')).body, 'ada')
  },
  'update and terminate still work after the answer began': async (scene) => {
    const [updating, leaving] = [latch(), latch()]
    await scene.open({
      '/set': set('user', 'ada'),
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
    const visitor = scene.visitor()
    await visitor.get('/set')
    assert.equal((await visitor.get('/update', { onChunk: updating.open })).body, 'begun ada lovelace')
    assert.equal((await visitor.get('/')).body, 'ada lovelace')
    assert.equal((await visitor.get('/terminate', { onChunk: leaving.open })).body, 'begun nothing')
    assert.equal((await visitor.get('/')).body, 'nothing')
  },
}

const overlapping: Cases = {
  'two requests at once that set different keys both win': async (scene) => {
    const meeting = meetingOf(2)
    const setTogether = (key: string): ScenarioHandler =>
      change(async (session) => {
        await meeting()
        session.set(key, 'kept')
      })
    await scene.open({
      '/set': set('user', 'ada'),
      '/one': setTogether('one'),
      '/other': setTogether('other'),
      '/': show('one', 'other', 'user'),
    })
    const visitor = scene.visitor()
    await visitor.get('/set')
    await Promise.all([visitor.get('/one'), visitor.get('/other')])
    assert.equal((await visitor.get('/')).body, 'kept kept ada')
  },
  "overlapping requests never see each other's session": async (scene) => {
    const names = ['ada', 'bob', 'cleo', 'dan', 'eve', 'fay']
    const meeting = meetingOf(names.length)
    await scene.open({
      ...Object.fromEntries(names.map((name) => [`/${name}`, set('user', name)])),
      '/': async () => {
        const before = await getSession()
        await meeting()
        await sleep(1)
        const after = [await getSession(), await scene.sessions.current()]
        return { status: 200, body: [before, ...after].map((session) => textOf(session.get('user'))).join(' ') }
      },
    })
    const bodies = await Promise.all(
      names.map(async (name) => {
        const visitor = scene.visitor()
        await visitor.get(`/${name}`)
        return (await visitor.get('/')).body
      }),
    )
    assert.deepEqual(
      bodies,
      names.map((name) => `${name} ${name} ${name}`),
    )
  },
}

function routes<T>(items: readonly T[], handler: (item: T) => ScenarioHandler): Record<string, ScenarioHandler> {
  return Object.fromEntries(items.map((item, index) => [`/${index}`, handler(item)]))
}

function each<T>(variants: Readonly<Record<string, T>>, cases: (name: string, variant: T) => Cases): Cases {
  return Object.assign({}, ...Object.entries(variants).map(([name, variant]) => cases(name, variant))) as Cases
}

function withHeader(name: string, value: string): ScenarioAnswer {
  return { status: 200, headers: { [name]: value } }
}
