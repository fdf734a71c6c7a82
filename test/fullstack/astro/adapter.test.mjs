import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { sessionMiddleware } from '../../../src/adapters/astro.ts'
import { httpScenario } from '../../../src/testing/http-scenario.ts'
import { Browser } from '../../helpers/browser.ts'
import { signal } from '../../helpers/http-parking.ts'
import { startServer } from '../../helpers/http-server.ts'
import { parkedSessions } from '../../helpers/http-stage.ts'
import { compile } from '../helpers/compile.mjs'
import { Project } from '../helpers/project.mjs'

let project, handle
beforeAll(async () => {
  project = await Project.create('astro', join(import.meta.dirname, 'fixture'))
  await project.run(project.script('astro/astro.js'), ['build'])
  // The standalone server of @astrojs/node, in this process: its middleware finds what a test puts on stage.
  vi.stubEnv('ASTRO_NODE_AUTOSTART', 'disabled')
  const script = pathToFileURL(join(project.dir, 'dist/server/entry.mjs')).href
  ;({ handler: handle } = await import(/* @vite-ignore */ script))
})
afterAll(() => project?.remove())

async function serve(sessions, handler, stage = {}) {
  globalThis.stage = { sessions, handler, middleware: sessionMiddleware(sessions), ...stage }
  return startServer(createServer((request, response) => handle(request, response)))
}

describe('vishnu/astro on @astrojs/node:', () => {
  test.each(httpScenario(serve))('$name', async ({ check }) => {
    // Astro logs there what handlers throw.
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    onTestFinished(() => log.mockRestore())
    expect(await check()).toBeUndefined()
  })
})

/** A site whose pages and components do as told, and the endpoints of `endpoints` by their path. */
async function site({ endpoints = {}, ...stage }) {
  const { sessions, store } = parkedSessions()
  // Astro logs what pages throw.
  const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const handler = (request) => endpoints[request.path]?.(request) ?? new Response(null, { status: 404 })
  const { origin, close } = await serve(sessions, handler, stage)
  onTestFinished(async () => {
    await close()
    log.mockRestore()
  })
  return { origin, sessions, store, log, browser: new Browser() }
}

const show = async ({ session }) => ({
  status: 200,
  body: JSON.stringify(Object.fromEntries((await session()).entries())),
})

describe('a page', () => {
  test('finds the session in locals, and what it set is in the next one', async () => {
    const { origin, sessions, browser } = await site({
      page: async ({ locals }) => {
        const session = await locals.session()
        const visits = (session.get('visits') ?? 0) + 1
        session.set('visits', visits)
        expect(await sessions.get(locals)).toBe(session)
        expect(await sessions.current()).toBe(session)
        return `visit ${visits}`
      },
    })
    expect((await browser.get(`${origin}/page/one`)).body).toContain('<p>visit 1</p>')
    expect((await browser.get(`${origin}/page/one`)).body).toContain('<p>visit 2</p>')
  })

  test('that redirects has its change stored', async () => {
    const { origin, browser } = await site({
      page: async ({ locals, redirect }) => {
        const session = await locals.session()
        session.set('before', 'the redirect')
        return redirect('/show')
      },
      endpoints: { '/show': show },
    })
    const { status, setCookies } = await browser.get(`${origin}/page/one`)
    expect([status, setCookies.length]).toEqual([302, 1])
    expect((await browser.get(`${origin}/show`)).body).toBe('{"before":"the redirect"}')
  })

  test('that is rewritten to another shares its visit with it: both changes are stored, under one cookie', async () => {
    const { origin, sessions, store, browser } = await site({
      page: async ({ locals, rewrite }) => {
        const session = await locals.session()
        session.set('page', 'set')
        return rewrite('/endpoint')
      },
      endpoints: {
        '/endpoint': async ({ context }) => {
          const session = await sessions.get(context)
          session.set('endpoint', 'set')
          return { status: 200, body: `the page: ${String(session.get('page'))}` }
        },
        '/show': show,
      },
    })
    const { body, setCookies } = await browser.get(`${origin}/page/one`)
    expect([body, setCookies.length, store.calls]).toEqual(['the page: set', 1, ['create']])
    expect((await browser.get(`${origin}/show`)).body).toBe('{"page":"set","endpoint":"set"}')
  })

  test('that was not found may read the session on its error page', async () => {
    const { origin, browser } = await site({
      page: async ({ locals }) => {
        const session = await locals.session()
        session.set('missing', 'it')
        return new Response(null, { status: 404 })
      },
      notFound: async ({ locals }) => (await locals.session()).get('missing'),
    })
    const { status, body, setCookies } = await browser.get(`${origin}/page/missing`)
    expect([status, setCookies.length]).toEqual([404, 1])
    expect(body).toContain('No such page: it')
  })

  test('that was not found is kept out of shared caches if only its error page asks for the session', async () => {
    const { origin, browser } = await site({
      page: async () => new Response(null, { status: 404 }),
      notFound: async ({ locals }) => {
        const session = await locals.session()
        session.set('missing', 'it')
        return session.get('missing')
      },
    })
    const first = await browser.get(`${origin}/page/missing`)
    expect([first.status, first.setCookies.length, first.headers['cache-control']]).toEqual([404, 1, 'no-store'])
    const second = await browser.get(`${origin}/page/missing`)
    expect([second.headers.vary, second.headers['cache-control']]).toEqual(['Cookie', 'private, no-cache'])
  })

  test('that throws leaves its change to the error page, with which both are stored', async () => {
    const { origin, browser } = await site({
      page: async ({ locals }) => {
        const session = await locals.session()
        session.set('page', 'set')
        throw new Error('Thrown on purpose')
      },
      failed: async ({ locals }) => {
        const session = await locals.session()
        session.set('error page', 'set')
        return session.get('page')
      },
      endpoints: { '/show': show },
    })
    const { status, body, setCookies } = await browser.get(`${origin}/page/one`)
    expect([status, setCookies.length]).toEqual([500, 1])
    expect(body).toContain('Something went wrong: set')
    expect((await browser.get(`${origin}/show`)).body).toBe('{"page":"set","error page":"set"}')
  })

  test('that is prerendered has no session', () => {
    const html = readFileSync(join(project.dir, 'dist/client/prerendered/index.html'), 'utf8')
    expect(html).toContain('The same for everybody: ERR_NO_REQUEST')
  })
})

describe('a component', () => {
  test('that is rendered when the page is being sent can read the session', async () => {
    const { origin, browser } = await site({
      page: async ({ locals }) => {
        const session = await locals.session()
        session.set('user', 'ada')
        return 'now'
      },
      part: async ({ locals }) => (await locals.session()).get('user'),
    })
    expect((await browser.get(`${origin}/page/one`)).body).toContain('<p>ada</p>')
  })

  test.each([
    ['the page has asked for the session', true],
    ['nobody has asked for the session', false],
  ])('gets ERR_COMMITTED for a change of it, where %s', async (_, asksBefore) => {
    const begun = signal()
    const { origin, log } = await site({
      page: async ({ locals }) => {
        if (asksBefore) await locals.session()
        return 'now'
      },
      part: async ({ locals }) => {
        await begun.promise
        const session = await locals.session()
        session.set('late', true)
      },
    })
    const { status, headers, body } = await fetch(`${origin}/page/one`)
    expect([status, headers.getSetCookie()]).toEqual([200, []])
    begun.fire()
    let text = ''
    const read = async () => {
      for await (const chunk of body.pipeThrough(new TextDecoderStream())) text += chunk
    }
    // This is how Astro ends a page that it can't finish.
    await expect(read()).rejects.toThrow('terminated')
    expect(text).toMatch(/<p>now<\/p>[^]*Internal server error$/)
    expect(log.mock.calls.flat()).toContainEqual(expect.objectContaining({ code: 'ERR_COMMITTED' }))
  })

  test('that is a server island finds the session, and no shared cache may keep it', async () => {
    const { origin, browser } = await site({
      page: async ({ locals }) => {
        const session = await locals.session()
        session.set('user', 'ada')
      },
      island: async ({ locals }) => (await locals.session()).get('user'),
    })
    await browser.get(`${origin}/page/one`)
    const { body } = await browser.get(`${origin}/with-island`)
    const [path] = /\/_server-islands\/[^'"]*/.exec(body)
    const island = await browser.get(origin + path.replaceAll('&amp;', '&'))
    expect(island.body).toContain('<p>ada</p>')
    expect(island.headers).toMatchObject({ vary: 'Cookie', 'cache-control': 'private, no-cache' })
  })
})

describe('an action', () => {
  const post = (browser, url, headers) =>
    browser.post(url, {
      body: 'item=book',
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    })

  test.each(['/page/one?_action=act', '/_actions/act'])('has its change stored: %s', async (path) => {
    const { origin, sessions, browser } = await site({
      action: async (form, context) => {
        const session = await sessions.get(context.locals)
        session.set('item', form.get('item'))
      },
      page: async ({ locals }) => (await locals.session()).get('item'),
      endpoints: { '/show': show },
    })
    const { setCookies } = await post(browser, origin + path, { origin })
    expect(setCookies).toHaveLength(1)
    expect((await browser.get(`${origin}/show`)).body).toBe('{"item":"book"}')
  })
})

describe('the middleware', () => {
  test('refuses locals that another visitor has', async () => {
    const { sessions } = parkedSessions()
    const middleware = sessionMiddleware(sessions)
    const locals = {}
    const visit = () =>
      middleware(
        { request: new Request('http://localhost/'), locals, isPrerendered: false },
        async () => new Response(),
      )
    expect((await visit()).status).toBe(200)
    await expect(visit()).rejects.toThrow('the locals are those of another request')
  })
})

describe('another middleware of the sequence', () => {
  test('that mounts the sessions again leaves the work to the first', async () => {
    const { origin, sessions, browser } = await site({
      guard: (context, next) => sessionMiddleware(sessions)(context, next),
      page: async ({ locals }) => (await locals.session()).set('one', 'cookie'),
    })
    expect((await browser.get(`${origin}/page/one`)).setCookies).toHaveLength(1)
  })

  test('that redirects or rewrites has its change stored', async () => {
    const { origin, browser } = await site({
      guard: async ({ locals, url, redirect }, next) => {
        if (url.pathname === '/show') return undefined
        const session = await locals.session()
        session.set('return', url.pathname)
        return url.pathname === '/redirected' ? redirect('/show') : next('/page/one')
      },
      page: async ({ locals }) => (await locals.session()).get('return'),
      endpoints: { '/show': show },
    })
    expect(await browser.get(`${origin}/redirected`)).toMatchObject({ status: 302, setCookies: [expect.any(String)] })
    expect((await browser.get(`${origin}/show`)).body).toBe('{"return":"/redirected"}')
    expect((await browser.get(`${origin}/rewritten`)).body).toContain('<p>/rewritten</p>')
  })
})

describe('the types', () => {
  test('agree with those of Astro, and know what the session holds', async () => {
    expect(await compile(project)).toBe('')
  })
})
