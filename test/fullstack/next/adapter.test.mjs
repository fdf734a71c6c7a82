import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { memory } from '../../../src/backends/memory.ts'
import { Browser } from '../../helpers/browser.ts'
import { manualClock } from '../../helpers/clock.ts'
import { startRedis } from '../../helpers/redis-server.ts'
import { WatchedBackend } from '../../helpers/unit-backend.ts'
import { startFixture } from './helpers/production-server.mjs'

const fixture = await startFixture()
afterAll(() => fixture.stop())
const { createSessions, SessionError } = await fixture.load('index')
const { httpScenario } = await fixture.load('testing/index')
const { readSession, withSessions } = await fixture.load('adapters/next')
const require = createRequire(import.meta.url)
const { notFound, permanentRedirect, redirect } = require('next/navigation')
const { after, NextResponse } = require('next/server')

const secret = 'a secret for tests, and for nothing else'
/** An outage is known to be one as soon as this has passed. */
const impatient = { backendTimeout: 300 }
const form = { 'content-type': 'application/x-www-form-urlencoded' }

/** Sessions for the fixture, and a visitor. `handler` answers all routes and pages, `action` and `proxy` are what they say. */
function stage({ handler, action, proxy, ...options } = {}) {
  const clock = manualClock(Date.now())
  const backend = new WatchedBackend(memory())
  const sessions = createSessions({ secret, backend, autoSave: true, clock: clock.now, ...options })
  globalThis.stage = { sessions, handler, action, proxy }
  return { sessions, backend, clock, browser: new Browser() }
}

const visit = (browser, path = '/', options = {}) => browser.get(fixture.origin + path, options)
const textOf = ({ body }) => [...body.matchAll(/<(?:p|pre)>(.*?)<\/(?:p|pre)>/g)].map(([, text]) => text).join(' ')

/** Sends the form of the page, as a browser without scripts does. */
async function act(browser, action = globalThis.stage.action) {
  globalThis.stage.action = action
  const { body: page } = await visit(browser, '/action')
  const fields = new FormData()
  for (const [, name, value = ''] of page.matchAll(/<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?/g)) {
    fields.append(name, value)
  }
  const encoded = new Response(fields)
  const headers = { 'content-type': encoded.headers.get('content-type'), origin: fixture.origin }
  return browser.post(`${fixture.origin}/action`, { headers, body: Buffer.from(await encoded.arrayBuffer()) })
}

const setUser = async ({ session }) => {
  const mine = await session()
  mine.set('user', 'ada')
  return { status: 200 }
}

describe('the HTTP scenario in a route handler', () => {
  const serve = async (sessions, handler) => {
    globalThis.stage = { sessions, handler }
    return { origin: fixture.origin, close: async () => undefined }
  }
  test.each(httpScenario(serve, { capabilities: { commitOnError: false } }))('$name', async ({ check }) =>
    expect(await check()).toBeUndefined(),
  )
})

describe('the HTTP scenario in a server component', () => {
  /** Takes what a page says out of its HTML, and leaves the rest of the response as it is. */
  const serve = async (sessions, handler) => {
    globalThis.stage = { sessions, handler }
    const pass = async ({ url, headers }, response) => {
      const page = await fetch(`${fixture.origin}/page${url}`, { headers: { cookie: headers.cookie ?? '' } })
      const body = textOf({ body: await page.text() })
      response.writeHead(page.status, [...page.headers].filter(([name]) => !/^(content|transfer)-/.test(name)).flat())
      response.end(body)
    }
    const gateway = createServer((request, response) => void pass(request, response))
    gateway.listen(0, '127.0.0.1')
    await once(gateway, 'listening')
    const close = async () => {
      gateway.closeAllConnections()
      gateway.close()
    }
    return { origin: `http://127.0.0.1:${gateway.address().port}`, close }
  }
  const capabilities = { cookie: false, headers: false, stream: false, errorStatus: false, asyncContext: false }
  test.each(httpScenario(serve, { capabilities }))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

describe('a route handler', () => {
  const setAndThen = (end) => async (request) => {
    await setUser(request)
    return end()
  }

  test('that calls redirect() has stored its changes, and keeps its redirect', async () => {
    const { browser, backend } = stage({ handler: setAndThen(() => redirect('/next')) })
    const answer = await visit(browser)
    expect([answer.status, answer.headers.location]).toEqual([307, '/next'])
    expect(answer.setCookies).toEqual([
      expect.stringMatching(/^vishnu=[\w-]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/),
    ])
    expect(backend.operations()).toEqual(['create'])
    globalThis.stage.handler = setAndThen(() => permanentRedirect('/else;where'))
    const { status, headers, setCookies } = await visit(new Browser())
    expect([status, headers.location, setCookies.length]).toEqual([308, '/else;where', 1])
    // A cache would keep it otherwise, with the cookie in it.
    expect([headers['cache-control'], headers.vary]).toEqual(['no-store', expect.stringContaining('Cookie')])
    globalThis.stage.handler = setAndThen(() => redirect('/next'))
    expect((await browser.post(`${fixture.origin}/`, { headers: form, body: 'a=b' })).status).toBe(303)
  })

  test("that calls redirect() is answered with 503 if its changes can't be stored", async () => {
    const { browser, backend } = stage({ handler: setAndThen(() => redirect('/next')), ...impatient })
    backend.failNext('create', 1000)
    const { status, headers, setCookies } = await visit(browser)
    expect([status, headers.location, setCookies]).toEqual([503, undefined, []])
  })

  test('that is force-static is refused, since everybody would get the session that it begins', async () => {
    const { browser, backend } = stage()
    const { status, setCookies } = await visit(browser, '/static/one')
    expect([status, setCookies, backend.operations()]).toEqual([500, [], []])
    expect(globalThis.stage.thrown).toMatchObject({ code: 'ERR_NO_REQUEST' })
  })

  test('that calls notFound() is answered without our cookie, so its changes are dropped', async () => {
    const { browser, backend } = stage({ handler: setAndThen(notFound) })
    const { status, setCookies } = await visit(browser)
    expect([status, setCookies, backend.operations()]).toEqual([404, [], []])
  })

  test('may use readSession(), and after(), which comes too late for a cookie', async () => {
    let tell
    const told = new Promise((resolve) => (tell = resolve))
    const { browser, sessions } = stage({
      handler: async ({ session }) => {
        const mine = await session()
        expect(await readSession(sessions)).toBe(mine)
        mine.set('user', 'ada')
        after(async () => {
          const current = await sessions.current()
          tell([codeOf(() => current.set('user', 'eve')), await current.update('user', (user) => `${user} l.`)])
        })
        return { status: 200 }
      },
    })
    await visit(browser)
    expect(await told).toEqual(['ERR_COMMITTED', 'ada l.'])
  })

  test('within another is part of it', async () => {
    const { browser, backend, sessions } = stage({
      handler: async (request) => {
        await setUser(request)
        const inner = withSessions(sessions, async () => {
          const session = await sessions.current()
          return Response.json(session.get('user'))
        })
        return inner(new Request(fixture.origin))
      },
    })
    expect((await visit(browser)).body).toBe('"ada"')
    expect(backend.operations()).toEqual(['create'])
  })
})

describe('a server action', () => {
  const lines = {
    'as by default': {},
    'that lasts, on a domain and a path': { timeout: 3600, domain: 'localhost', path: '/a=b', httpOnly: false },
    'with every other attribute': { secure: true, sameSite: 'none', partitioned: true, priority: 'high', path: '' },
  }
  test.each(Object.entries(lines))('sets the cookie %s with the attributes of a route handler', async (_, options) => {
    const attributes = ([line]) => {
      const [pair, ...rest] = line.toLowerCase().split('; ')
      return [pair.split('=')[0], ...rest.map((part) => part.replace(/^expires=.*/, 'expires')).toSorted()]
    }
    const { browser } = stage({ ...options, handler: setUser, action: (session) => session.set('user', 'ada') })
    const byAction = (await act(new Browser())).setCookies
    const byRoute = (await visit(browser)).setCookies
    expect(attributes(byAction)).toEqual(attributes(byRoute))
    expect(byAction[0].split('; ')[0].length).toBe(byRoute[0].split('; ')[0].length)
  })

  test('that ends the session removes the cookie', async () => {
    const { browser } = stage({ action: (session) => session.set('user', 'ada') })
    await act(browser)
    expect(browser.cookie('vishnu')).toBeDefined()
    const { setCookies } = await act(browser, (session) => session.terminate())
    expect(setCookies).toEqual([expect.stringMatching(/^vishnu=; Path=\/; Expires=Thu, 01 Jan 1970 [^;]*; Max-Age=0;/)])
    expect(browser.cookie('vishnu')).toBeUndefined()
  })

  test.each([
    ['redirects', () => redirect('/next'), 303],
    ['calls notFound()', notFound, 404],
    [
      'throws',
      () => {
        throw new Error('Thrown by the action on purpose')
      },
      500,
    ],
  ])('that %s has stored its changes, and its cookie is sent', async (_, end, status) => {
    const { browser } = stage({
      action: (session) => {
        session.set('user', 'ada')
        session.regenerate()
        end()
      },
    })
    expect((await act(browser)).status).toBe(status)
    expect(textOf(await visit(browser, '/action'))).toBe('ada ada')
  })

  test("whose changes can't be stored fails, and does not redirect", async () => {
    const { browser, backend } = stage({
      action: (session) => {
        session.set('user', 'ada')
        redirect('/next')
      },
      ...impatient,
    })
    backend.failNext('create', 1000)
    const { status, headers, setCookies } = await act(browser)
    expect([status, headers.location, setCookies]).toEqual([500, undefined, []])
  })

  test('shows its own changes in the page that is rendered after it, without another read', async () => {
    const { browser, backend } = stage()
    const answer = await act(browser, (session) => {
      session.set('user', 'ada')
      session.regenerate()
    })
    expect(textOf(answer)).toBe('ada ada')
    expect(backend.operations()).toEqual(['create'])
  })

  test('may be guarded by what reads the session first', async () => {
    const { browser } = stage({ action: (session) => session.set('user', 'ada') })
    globalThis.stage.guard = true
    const { status, setCookies } = await act(browser)
    expect([status, setCookies.length]).toEqual([200, 1])
    expect(textOf(await visit(browser, '/action'))).toContain('ada')
  })

  test('is not led astray by a planted cookie', async () => {
    const { browser } = stage({ action: (session) => session.set('user', 'ada') })
    await act(browser)
    const planted = new Browser()
    for (const value of [`vishnu=${browser.cookie('vishnu')}`, 'vishnu=planted; path=/action']) {
      planted.jar.store(value, new URL(`${fixture.origin}/action`))
    }
    let user
    await act(planted, (session) => (user = session.get('user')))
    expect(user).toBe('ada')
  })
})

describe('a server component', () => {
  test('shares one read with all others of its page', async () => {
    const { browser, backend } = stage({ action: (session) => session.set('user', 'ada') })
    await act(browser)
    backend.reset()
    const answer = await visit(browser, '/action')
    expect(textOf(answer)).toBe('ada ada')
    expect(backend.operations()).toEqual(['read'])
  })

  test('says who may change a session, when it tries', async () => {
    const { browser } = stage({
      handler: async ({ session }) => {
        const mine = await session()
        const tries = [
          () => mine.set('user', 'eve'),
          () => mine.delete('user'),
          () => mine.clear(),
          () => mine.regenerate(),
        ]
        expect(tries.map(codeOf)).toEqual(tries.map(() => 'ERR_COMMITTED'))
        expect(tries[0]).toThrow(/server actions and route handlers/)
        return { body: 'refused' }
      },
    })
    expect(textOf(await visit(browser, '/page'))).toBe('refused')
  })

  test('prolongs the session, but not the cookie, which the proxy renews', async () => {
    const proxy = async () => {
      await globalThis.stage.sessions.current()
      return NextResponse.next()
    }
    const { browser, backend, clock } = stage({ timeout: 1000, action: (session) => session.set('user', 'ada'), proxy })
    await act(browser)
    clock.advance(600_000)
    backend.reset()
    expect((await visit(browser, '/action')).setCookies).toEqual([])
    expect(backend.operations()).toEqual(['read', 'touch'])
    clock.advance(600_000)
    expect((await visit(browser, '/guarded')).setCookies).toEqual([expect.stringMatching(/^vishnu=.*Max-Age=1000/)])
    clock.advance(600_000)
    expect(textOf(await visit(browser, '/action'))).toBe('ada ada')
  })

  test('may read the session in a part of the page that is streamed later', async () => {
    const { browser } = stage({ action: (session) => session.set('user', 'ada') })
    await act(browser)
    let finish
    globalThis.stage.handler = () => new Promise((resolve) => (finish = resolve))
    const cookie = `vishnu=${browser.cookie('vishnu')}`
    const { body } = await fetch(`${fixture.origin}/streamed`, { headers: { cookie } })
    let read = ''
    for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
      read += chunk
      if (read.includes('first part') && !read.includes('second part')) finish()
    }
    expect(read).toContain('second part, for ada')
  })

  test('is never kept by a cache, which Next.js sees to', async () => {
    const { browser } = stage()
    const { headers } = await visit(browser, '/action')
    expect(headers['cache-control']).toMatch(/private.*no-store/)
  })
})

describe('the proxy', () => {
  const guard = async (request) => {
    const session = await globalThis.stage.sessions.get(request)
    return session.has('user') ? NextResponse.next() : NextResponse.redirect(new URL('/log-in', request.url))
  }

  test('keeps strangers out, and lets others see the page', async () => {
    const { browser } = stage({ proxy: guard, action: (session) => session.set('user', 'ada') })
    const refused = await visit(browser, '/guarded')
    expect([refused.status, refused.headers.location]).toEqual([307, '/log-in'])
    await act(browser)
    expect(textOf(await visit(browser, '/guarded'))).toBe('ada')
  })

  test('keeps a static page that it guards out of shared caches', async () => {
    const { browser } = stage({ proxy: guard, action: (session) => session.set('user', 'ada') })
    await act(browser)
    const { status, headers } = await visit(browser, '/guarded/static')
    expect(status).toBe(200)
    expect(headers['cache-control']).toBe('private, no-cache')
    // Next.js replaces the proxy's, as the documentation says.
    expect(headers.vary).not.toMatch(/cookie/i)
  })

  test('may change the session, which the page then shows', async () => {
    const proxy = async (request) => {
      const session = await globalThis.stage.sessions.get(request)
      session.set('user', 'bob')
      return NextResponse.next()
    }
    const { browser } = stage({ proxy, action: (session) => session.set('user', 'ada') })
    await act(browser)
    expect(textOf(await visit(browser, '/guarded'))).toBe('bob')
  })

  test("answers 503 if the session can't be read", async () => {
    const { browser, backend } = stage({ proxy: guard, action: (session) => session.set('user', 'ada'), ...impatient })
    await act(browser)
    backend.failNext('read', 1000)
    expect((await visit(browser, '/guarded')).status).toBe(503)
  })
})

describe('the encrypted cookie of the Python dialect', () => {
  test('is refused in an action, which would send it encoded, and is set by a route handler', async () => {
    const server = await startRedis()
    const { redis } = await fixture.load('backends/redis')
    const { vishnuPython } = await fixture.load('dialects/vishnu-python')
    const { browser, sessions } = stage({
      dialect: vishnuPython(),
      // A cookie without a + or a / is as good as impossible.
      encryptKey: 'a key for tests, and for nothing else',
      backend: redis({ port: server.port, layout: 'plain' }),
      handler: setUser,
      action: (session) => session.set('user', 'ada'),
    })
    onTestFinished(() => server.stop())
    onTestFinished(() => sessions.close())
    const refused = await act(browser)
    expect([refused.status, refused.setCookies]).toEqual([500, []])
    await visit(browser)
    expect(textOf(await visit(browser, '/action'))).toBe('ada ada')
  })
})

describe('the memory backend', () => {
  test('is refused in production, with what to do', async () => {
    const { browser } = stage({ backend: memory(), handler: setUser })
    expect((await visit(browser)).status).toBe(500)
    expect(globalThis.stage.thrown).toBeInstanceOf(SessionError)
    expect(globalThis.stage.thrown).toMatchObject({ code: 'ERR_CONFIG', message: expect.stringMatching(/redis\(\)/) })
    expect((await visit(browser, '/action')).status).toBe(500)
  })
})

function codeOf(attempt) {
  try {
    attempt()
    return 'no error'
  } catch (error) {
    return error.code
  }
}
