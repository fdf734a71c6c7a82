import assert from 'node:assert/strict'
import { cases, each, type ScenarioCase } from './http-case.js'
import { change, listOf, page, routes, set, show } from './http-pages.js'
import { COOKIE_NAME, isOurs, type ScenarioAnswer } from './http-scene.js'

/* What a request costs and shows, and how our headers go together with the application's. */

const asking: ScenarioCase[] = [
  ...cases(
    {},
    {
      'a handler that never asks for the session costs nothing and shows nothing': async (scene) => {
        await scene.open({ '/': page('hello') })
        const visitor = await scene.visitorWith({ user: 'ada' })
        const reply = await visitor.get('/')
        assert.deepEqual([reply.status, reply.body], [200, 'hello'])
        assert.ok(!listOf(reply.headers.vary).includes('cookie'), `Vary: ${reply.headers.vary}`)
        assert.notDeepEqual(listOf(reply.headers['cache-control']), OUR_CACHE_CONTROL)
        assert.deepEqual(reply.setCookies, [])
        assert.deepEqual(scene.backend.calls, [])
      },
      'reading without a cookie stores nothing and sets no cookie': async (scene) => {
        await scene.open({ '/': show('user') })
        const reply = await scene.visitor().get('/')
        assert.deepEqual([reply.status, reply.body, reply.setCookies], [200, 'nothing', []])
        assert.deepEqual(scene.backend.calls, [])
      },
      'reading a session takes one backend call, and sets no cookie': async (scene) => {
        await scene.open({ '/': show('user') })
        const visitor = await scene.visitorWith({ user: 'ada' })
        const reply = await visitor.get('/')
        assert.deepEqual([reply.body, reply.setCookies], ['ada', []])
        assert.deepEqual(scene.backend.calls, ['read'])
      },
    },
  ),
  ...cases(
    { headers: true },
    {
      'reading keeps the page out of shared caches': async (scene) => {
        await scene.open({ '/': show('user') })
        const { headers } = await scene.visitor().get('/')
        assert.ok(listOf(headers.vary).includes('cookie'), `Vary: ${headers.vary}`)
        assert.deepEqual(listOf(headers['cache-control']), OUR_CACHE_CONTROL)
      },
    },
  ),
  ...cases(
    { headers: false },
    {
      'reading adds nothing to Vary, as declared': async (scene) => {
        await scene.open({ '/': show('user') })
        const { headers } = await scene.visitor().get('/')
        assert.ok(!listOf(headers.vary).includes('cookie'), `Vary: ${headers.vary}: declare headers: true`)
      },
    },
  ),
  ...cases(
    { cookie: true },
    {
      'what one request sets the next one reads': async (scene) => {
        await scene.open({ '/set': set('user', 'ada'), '/': show('user') })
        const visitor = scene.visitor()
        await visitor.get('/set')
        assert.equal((await visitor.get('/')).body, 'ada')
      },
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
    },
  ),
]

const OUR_CACHE_CONTROL = ['private', 'no-cache']

/** Lists that the framework adds to are right too; a `*` says all there is to say. */
const VARIES: Readonly<Record<string, readonly string[]>> = {
  'Accept-Encoding': ['accept-encoding', 'cookie'],
  '*': ['*'],
  cookie: ['cookie'],
}

const caching: ScenarioCase[] = [
  ...cases(
    { headers: true },
    {
      ...each(VARIES, (own, expected) => ({
        [`Vary is merged with the application's own (${own})`]: async (scene) => {
          await scene.open({ '/': change((session) => session.get('user'), withHeader('vary', own)) })
          const { vary } = (await scene.visitor().get('/')).headers
          const [list, seen] = [listOf(vary), `Vary: ${vary}`]
          for (const name of expected) assert.equal(list.filter((item) => item === name).length, 1, seen)
          assert.equal(list.includes('cookie'), expected.includes('cookie'), seen)
        },
      })),
      "Cache-Control stays the application's where no cookie of ours is sent": async (scene) => {
        const answer = withHeader('cache-control', 'public, max-age=60')
        await scene.open({ '/': change((session) => session.get('user'), answer) })
        const { headers } = await scene.visitor().get('/')
        assert.deepEqual(listOf(headers['cache-control']), ['public', 'max-age=60'])
      },
    },
  ),
  ...cases(
    { headers: true, cookie: true },
    {
      'Cache-Control beside our cookie lets no shared cache keep it': async (scene) => {
        const own = ['private, max-age=60', 'no-store', 'public, max-age=60']
        const answers = [...own.map((value) => withHeader('cache-control', value)), { status: 200 }]
        await scene.open(routes(answers, (answer) => change((session) => session.set('user', 'ada'), answer)))
        const seen: string[][] = []
        for (const index of answers.keys()) {
          const { headers } = await scene.visitor().get(`/${index}`)
          seen.push(listOf(headers['cache-control']))
        }
        assert.deepEqual(seen, [['private', 'max-age=60'], ['no-store'], ['no-store'], ['no-store']])
        const warnings = scene.events.filter(({ type }) => type === 'insecure')
        assert.equal(warnings.length, 1, 'one warning, for the value that was replaced')
      },
    },
  ),
]

function withHeader(name: string, value: string): ScenarioAnswer {
  return { status: 200, headers: { [name]: value } }
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

const receiving = cases(
  {},
  {
    'strange and forged cookies are those of a visitor without a session, and cost no backend call': async (scene) => {
      await scene.open({ '/': show('user') })
      for (const cookie of STRANGE_COOKIES) {
        const reply = await scene.visitor().get('/', { cookie })
        assert.deepEqual([reply.status, reply.body, reply.setCookies], [200, 'nothing', []], `Cookie: ${cookie}`)
      }
      assert.deepEqual(scene.backend.calls, [])
    },
    'a planted cookie of our name does not hide ours': async (scene) => {
      await scene.open({ '/': show('user') })
      const { cookie: value } = await scene.visitorWith({ user: 'ada' })
      const [ours, planted] = [`${COOKIE_NAME}=${value}`, `${COOKIE_NAME}=planted`]
      for (const cookie of [`${planted}; ${ours}`, `${ours}; ${planted}`, `${ours}; ${ours}`]) {
        assert.equal((await scene.visitor().get('/', { cookie })).body, 'ada', `Cookie: ${cookie}`)
      }
    },
  },
)

export const basics: ScenarioCase[] = [...asking, ...caching, ...receiving]
