import { createServer } from 'node:http'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { memory } from '../../../src/backends/memory.ts'
import { createSessions } from '../../../src/index.ts'
import { sessionHandle } from '../../../src/adapters/sveltekit.ts'
import { httpScenario } from '../../../src/testing/http-scenario.ts'
import { Browser } from '../../helpers/browser.ts'
import { signal } from '../../helpers/http-parking.ts'
import { startServer } from '../../helpers/http-server.ts'
import { parkedSessions } from '../../helpers/http-stage.ts'
import { compile } from '../helpers/compile.mjs'
import { Project } from '../helpers/project.mjs'

let project, buildOutput, handle
beforeAll(async () => {
  project = await Project.create('sveltekit', join(import.meta.dirname, 'fixture'))
  buildOutput = await project.run(project.script('vite/bin/vite.js'), ['build'])
  // The production server of @sveltejs/adapter-node, in this process: its hooks find what a test puts on stage.
  const script = pathToFileURL(join(project.dir, 'build/handler.js')).href
  ;({ handler: handle } = await import(/* @vite-ignore */ script))
})
afterAll(() => project?.remove())

async function serve(sessions, handler, stage = {}) {
  globalThis.stage = { sessions, handler, handle: sessionHandle(sessions), ...stage }
  return startServer(createServer((request, response) => handle(request, response, () => response.end('no page'))))
}

describe('vishnu/sveltekit on adapter-node:', () => {
  test.each(httpScenario(serve))('$name', async ({ check }) => {
    expect(await check()).toBeUndefined()
  })
})

/** A site whose page `/page/…` does as told, and the endpoints of `endpoints` by their path. */
async function site({ endpoints = {}, ...stage }) {
  const { sessions, store } = parkedSessions()
  const handler = ({ path, session }) => endpoints[path]({ path, session })
  const { origin, close } = await serve(sessions, handler, stage)
  onTestFinished(close)
  return { origin, sessions, store, browser: new Browser() }
}

const show = async ({ session }) => ({
  status: 200,
  body: JSON.stringify(Object.fromEntries((await session()).entries())),
})

describe('a load function', () => {
  test('finds the session by the event and in locals, and what it set is in the next one', async () => {
    const { origin, sessions, browser } = await site({
      load: async (event) => {
        const session = await event.locals.session()
        const visits = (session.get('visits') ?? 0) + 1
        session.set('visits', visits)
        expect(await sessions.get(event)).toBe(session)
        expect(await sessions.current()).toBe(session)
        return { now: `visit ${visits}` }
      },
    })
    expect((await browser.get(`${origin}/page/one`)).body).toContain('<p>visit 1</p>')
    expect((await browser.get(`${origin}/page/one`)).body).toContain('<p>visit 2</p>')
    expect((await browser.get(`${origin}/page/one/__data.json`)).body).toContain('visit 3')
  })

  test('shares its visit with the endpoints that it fetches: both changes are stored, under one cookie', async () => {
    const { origin, store, browser } = await site({
      load: async (event) => {
        const session = await event.locals.session()
        session.set('page', 'set')
        const response = await event.fetch('/endpoint')
        expect(response.headers.getSetCookie()).toEqual([])
        return { now: await response.text() }
      },
      endpoints: {
        '/endpoint': async ({ session }) => {
          const mine = await session()
          mine.set('endpoint', 'set')
          return { status: 200, body: `the page: ${String(mine.get('page'))}` }
        },
        '/show': show,
      },
    })
    const { body, setCookies } = await browser.get(`${origin}/page/one`)
    expect(body).toContain('<p>the page: set</p>')
    expect([setCookies.length, store.calls]).toEqual([1, ['create']])
    expect(JSON.parse((await browser.get(`${origin}/show`)).body)).toEqual({ page: 'set', endpoint: 'set' })
  })

  test('shares its visit though it sets a cookie of its own in between', async () => {
    const { origin, browser } = await site({
      load: async (event) => {
        event.cookies.set('theme', 'dark', { path: '/' })
        return { now: await (await event.fetch('/endpoint')).text() }
      },
      endpoints: {
        '/endpoint': async ({ session }) => {
          const mine = await session()
          mine.set('endpoint', 'set')
          return { status: 200, body: 'stored' }
        },
        '/show': show,
      },
    })
    const { body, setCookies } = await browser.get(`${origin}/page/one`)
    expect(body).toContain('<p>stored</p>')
    expect(setCookies.map((line) => line.split('=')[0]).toSorted()).toEqual(['theme', 'vishnu'])
    expect(JSON.parse((await browser.get(`${origin}/show`)).body)).toEqual({ endpoint: 'set' })
  })

  test.each([
    ['without a cookie', {}],
    ['with a cookie of another kind', { cookie: 'other=1' }],
  ])('a new visitor is a stranger to an endpoint that is fetched without credentials, %s', async (_, headers) => {
    const { origin, browser } = await site({
      load: async ({ fetch, locals }) => {
        const session = await locals.session()
        session.set('user', 'ada')
        return { now: await (await fetch('/endpoint', { credentials: 'omit', headers })).text() }
      },
      endpoints: {
        '/endpoint': async ({ session }) => ({ status: 200, body: String((await session()).get('user')) }),
      },
    })
    for (let visits = 0; visits < 2; visits++) {
      expect((await browser.get(`${origin}/page/one`)).body).toContain('<p>undefined</p>')
    }
  })

  test('has an endpoint of its own find no session, and begin none, if it fetches it without credentials', async () => {
    const { origin, browser } = await site({
      load: async ({ fetch, locals }) => {
        const session = await locals.session()
        session.set('user', 'ada')
        return { now: await (await fetch('/endpoint', { credentials: 'omit' })).text() }
      },
      endpoints: {
        '/endpoint': async ({ session }) => {
          const mine = await session()
          const change = async () => mine.set('user', 'eve')
          return { status: 200, body: `${String(mine.get('user'))} ${await change().catch(({ code }) => code)}` }
        },
      },
    })
    await browser.get(`${origin}/page/one`)
    const { body, setCookies } = await browser.get(`${origin}/page/one`)
    expect(body).toContain('<p>undefined ERR_COMMITTED</p>')
    expect(setCookies).toEqual([])
  })

  test.each([
    ['has asked for the session before', true],
    ['asks for the session only then', false],
  ])('that streams a promise and %s gets ERR_COMMITTED for a change in it', async (_, asksBefore) => {
    const begun = signal()
    const { origin } = await site({
      load: async ({ locals }) => {
        if (asksBefore) await locals.session()
        const change = async () => (await locals.session()).set('late', true)
        return { now: 'now', later: begun.promise.then(change) }
      },
    })
    const response = await fetch(`${origin}/page/one`)
    begun.fire()
    expect([response.status, response.headers.getSetCookie()]).toEqual([200, []])
    expect(await response.text()).toMatch(/<p>now<\/p>[^]*<p>waiting<\/p>[^]*code:"ERR_COMMITTED"/)
  })

  test('that throws leaves its change stored, and the error page its status', async () => {
    const { origin, browser } = await site({
      load: async ({ locals }) => {
        const session = await locals.session()
        session.set('before', 'the throw')
        throw new Error('Thrown on purpose')
      },
      endpoints: { '/show': show },
    })
    const { status, setCookies } = await browser.get(`${origin}/page/one`)
    expect([status, setCookies.length]).toEqual([500, 1])
    expect((await browser.get(`${origin}/show`)).body).toBe('{"before":"the throw"}')
  })
})

describe('a form action', () => {
  test('has its change stored before the answer, whether the page has scripts or not', async () => {
    const { origin, browser } = await site({
      action: async ({ locals, request }) => {
        const form = await request.formData()
        const session = await locals.session()
        await session.update('items', (items = []) => [...items, form.get('item')])
      },
      load: async ({ locals }) => ({ now: (await locals.session()).get('items')?.join() }),
      endpoints: { '/show': show },
    })
    const post = (item, headers) =>
      browser.post(`${origin}/page/one`, {
        body: `item=${item}`,
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          origin: origin.replace('http:', 'https:'),
          ...headers,
        },
      })
    expect((await post('book', { accept: 'text/html' })).body).toContain('<p>book</p>')
    const { body } = await post('pen', { 'x-sveltekit-action': 'true', accept: 'application/json' })
    expect(JSON.parse(body)).toMatchObject({ type: 'success' })
    expect((await browser.get(`${origin}/show`)).body).toBe('{"items":["book","pen"]}')
  })
})

describe('another hook of the sequence', () => {
  const remember = async ({ locals, url }) => {
    const session = await locals.session()
    session.set('return', url.pathname)
  }

  test.each([
    ['/page/private', 303],
    ['/page/private/__data.json', 200],
  ])('that redirects has its change stored, and the cookie set: %s', async (path, expectedStatus) => {
    const { origin, browser } = await site({
      guard: async ({ event }, redirect) => {
        if (event.url.pathname === '/show') return
        await remember(event)
        redirect(303, '/login')
      },
      endpoints: { '/show': show },
    })
    const { status, headers, body, setCookies } = await browser.get(origin + path)
    expect([status, headers.location ?? JSON.parse(body).location]).toEqual([expectedStatus, '/login'])
    expect(setCookies).toEqual([expect.stringMatching(/^vishnu=[\w-]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/)])
    expect((await browser.get(`${origin}/show`)).body).toBe('{"return":"/page/private"}')
  })

  test('that redirects sets the cookie with all the attributes that another answer gives it', async () => {
    const sessions = createSessions({
      secret: 'a secret for tests, and for nothing else',
      backend: memory(),
      autoSave: true,
      clock: () => 0,
      timeout: 3600,
      domain: 'example.com',
      path: '/page',
      httpOnly: false,
      sameSite: 'none',
      partitioned: true,
      priority: 'high',
    })
    const stage = {
      load: ({ locals, url }) => remember({ locals, url }),
      guard: async ({ event }, redirect) => {
        if (event.url.pathname !== '/page/private') return
        await remember(event)
        redirect(303, '/login')
      },
    }
    const { origin, close } = await serve(sessions, undefined, stage)
    onTestFinished(close)
    const attributesAt = async (path) => {
      const response = await fetch(origin + path, { redirect: 'manual' })
      const [, ...attributes] = response.headers.getSetCookie().join().split('; ')
      return attributes.toSorted()
    }
    const attributes = await attributesAt('/page/private')
    expect(attributes).toHaveLength(8)
    expect(attributes).toEqual(await attributesAt('/page/one'))
  })

  test('that mounts the sessions again leaves the work to the first', async () => {
    const { origin, sessions, browser } = await site({
      guard: async (input) => {
        await remember(input.event)
        return sessionHandle(sessions)(input)
      },
      load: async ({ locals }) => ({ now: (await locals.session()).set('one', 'cookie') }),
    })
    expect((await browser.get(`${origin}/page/one`)).setCookies).toHaveLength(1)
  })

  test('that throws leaves nothing stored, since no cookie can go with the answer', async () => {
    const { origin, store, browser } = await site({
      guard: async ({ event }) => {
        await remember(event)
        throw new Error('Thrown on purpose')
      },
    })
    const { status, setCookies } = await browser.get(`${origin}/page/private`)
    expect([status, setCookies, store.calls]).toEqual([500, [], []])
  })
})

describe('a build', () => {
  test('has prerendered the page without a session, and refused the page that asks for one', () => {
    const pages = join(project.dir, 'build/prerendered')
    expect(existsSync(join(pages, 'prerendered.html'))).toBe(true)
    expect(existsSync(join(pages, 'personal.html'))).toBe(false)
    expect(buildOutput).toContain('A prerendered page has no visitor')
  })
})

describe('the types', () => {
  test('agree with those of SvelteKit, and know what the session holds', async () => {
    expect(await compile(project)).toBe('')
  })
})
