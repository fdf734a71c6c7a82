import { Readable } from 'node:stream'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type FetchOptions, withSessions } from '../../src/adapters/fetch.js'
import { memory } from '../../src/backends/memory.js'
import { createSessions, getSession } from '../../src/index.js'
import { httpScenario, type Serve } from '../../src/testing/http-scenario.js'
import { Browser } from '../helpers/browser.js'
import { type Fetch, startFetchServer } from '../helpers/fetch-server.js'

function serve(options: FetchOptions): Serve {
  return (sessions, handler) => {
    const answer = async (request: Request): Promise<Response> => {
      const { pathname: path } = new URL(request.url)
      const session = () => sessions.get(request)
      const { status, headers = {}, body = '' } = await handler({ method: request.method, path, session })
      const location = headers['location']
      // Response.redirect is what people write, and its headers are immutable.
      if (typeof location === 'string') return Response.redirect(new URL(location, request.url), status as 302)
      const content = typeof body === 'string' ? body : (Readable.toWeb(Readable.from(body)) as ReadableStream)
      return new Response(content, { status, headers: listed(headers) })
    }
    return startFetchServer(withSessions(sessions, answer, options))
  }
}

function onError(error: unknown): Response {
  return new Response('Something went wrong', { status: (error as { status?: number }).status ?? 500 })
}

function listed(headers: Readonly<Record<string, string | readonly string[]>>): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((item): [string, string] => [name, item]),
  )
}

describe('vishnu/fetch:', () => {
  test.each(httpScenario(serve({ onError })))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

describe('vishnu/fetch without onError, where no response of ours answers what is thrown:', () => {
  const cases = httpScenario(serve({}), { capabilities: { commitOnError: false } })
  test.each(cases)('$name', async ({ check }) => expect(await check()).toBeUndefined())
})

function shop() {
  return createSessions<{ visits: number }>({ secret: 'x'.repeat(32), backend: memory(), autoSave: true })
}

async function start(fetch: Fetch): Promise<string> {
  const { origin, close } = await startFetchServer(fetch)
  onTestFinished(close)
  return origin
}

describe('a fetch handler', () => {
  test('gets what else the runtime passes', async () => {
    const handler = withSessions(shop(), (_request, env: { name: string }, count: number) => {
      return new Response(`${env.name} ${count}`)
    })
    const response = await handler(new Request('http://localhost/'), { name: 'worker' }, 7)
    expect(await response.text()).toBe('worker 7')
  })

  test('that never asks for the session has its response handed on untouched', async () => {
    const response = new Response('as it is')
    expect(await withSessions(shop(), () => response)(new Request('http://localhost/'))).toBe(response)
  })

  test('may be wrapped twice: one session, one cookie', async () => {
    const sessions = shop()
    const inner = withSessions(sessions, async () => {
      const visits = await (await sessions.current()).update('visits', (count = 0) => count + 1)
      return new Response(String(visits))
    })
    const browser = new Browser()
    const origin = await start(withSessions(sessions, inner))
    expect((await browser.get(origin)).setCookies).toHaveLength(1)
    expect((await browser.get(origin)).body).toBe('2')
  })

  test('that throws has stored nothing that it did not save, and keeps its id: no response could bring another', async () => {
    const sessions = shop()
    const handler = withSessions(sessions, async (request) => {
      const session = await sessions.get(request)
      const visits = session.get('visits')
      session.set('visits', 5)
      if (!request.url.endsWith('/throw')) return new Response(String(visits))
      session.set('visits', 6)
      session.regenerate()
      throw new RangeError('of the application')
    })
    const first = await handler(new Request('http://localhost/'))
    const cookie = first.headers.getSetCookie()[0]?.split(';')[0] ?? ''
    const failing = handler(new Request('http://localhost/throw', { headers: { cookie } }))
    await expect(failing).rejects.toThrow('of the application')
    expect(await (await handler(new Request('http://localhost/', { headers: { cookie } }))).text()).toBe('5')
  })

  test('finds the session in what it calls, also while its body streams', async () => {
    const sessions = shop()
    const origin = await start(
      withSessions(sessions, async (request) => {
        const session = await sessions.get(request)
        if (!session.started) {
          session.set('visits', 1)
          return new Response('welcome')
        }
        async function* lines(): AsyncGenerator<string> {
          const current = await getSession<{ visits: number }>()
          for (let line = 0; line < 3; line++) yield `${await current.update('visits', (count = 0) => count + 1)} `
        }
        return new Response(Readable.toWeb(Readable.from(lines())) as ReadableStream)
      }),
    )
    const browser = new Browser()
    await browser.get(origin)
    expect((await browser.get(origin)).body).toBe('2 3 4 ')
  })
})
