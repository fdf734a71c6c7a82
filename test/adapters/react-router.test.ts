import { describe, expect, test } from 'vitest'
import { sessionMiddleware, sessionStorage } from '../../src/adapters/react-router.js'
import { memory } from '../../src/backends/memory.js'
import { createSessions, type SessionsOptions } from '../../src/index.js'
import { ForwardingBackend } from '../../src/testing/forwarding-backend.js'

// With React Router itself: test/fullstack/react-router.

const secret = 'a secret for tests, and for nothing else'

interface Data {
  user: string
  cart: readonly string[]
}

class DownBackend extends ForwardingBackend {
  protected around(): Promise<never> {
    return Promise.reject(new Error('The backend is down on purpose'))
  }
}

function storage(options: Partial<SessionsOptions> = {}) {
  const sessions = createSessions<Data>({ secret, backend: memory(), ...options })
  return { sessions, ...sessionStorage<Data, { notice: string }>(sessions) }
}

/** As a browser sends it back. */
function cookieOf(setCookie: string): string {
  return setCookie.split(';')[0] ?? ''
}

describe('sessionMiddleware()', () => {
  const next = async (): Promise<Response> => new Response('page')

  test('refuses a context that another request has: it would find the session of another visitor', async () => {
    const { sessions } = storage()
    const middleware = sessionMiddleware(sessions)
    const context = {}
    await middleware({ request: new Request('http://localhost/'), context }, next)
    const again = middleware({ request: new Request('http://localhost/'), context }, next)
    await expect(again).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining('getLoadContext'),
    })
  })

  test('may be mounted twice', async () => {
    const { sessions } = storage()
    const middleware = sessionMiddleware(sessions)
    const args = { request: new Request('http://localhost/'), context: {} }
    const response = await middleware(args, () => middleware(args, next))
    expect(await response.text()).toBe('page')
  })
})

describe('sessionStorage()', () => {
  test('stores what is committed, whatever autoSave, and nothing else', async () => {
    for (const autoSave of [true, false]) {
      const { getSession, commitSession } = storage({ autoSave })
      const session = await getSession(null)
      session.set('user', 'ada')
      const cookie = cookieOf(await commitSession(session))

      const dropped = await getSession(cookie)
      dropped.set('user', 'eve')
      expect((await getSession(cookie)).get('user')).toBe('ada')
    }
  })

  test('keeps what requests at the same time change, each its own', async () => {
    const { getSession, commitSession } = storage()
    const first = await getSession()
    first.set('user', 'ada')
    const cookie = cookieOf(await commitSession(first))

    const [one, other] = [await getSession(cookie), await getSession(cookie)]
    one.set('cart', ['book'])
    other.flash('notice', 'Welcome')
    await Promise.all([commitSession(one), commitSession(other)])
    expect((await getSession(cookie)).data).toEqual({ user: 'ada', cart: ['book'], __flash_notice__: 'Welcome' })
  })

  test('never brings back what was destroyed, and then has no cookie to set', async () => {
    const { getSession, commitSession, destroySession } = storage()
    const first = await getSession()
    first.set('user', 'ada')
    const cookie = cookieOf(await commitSession(first))

    const slow = await getSession(cookie)
    expect(await destroySession(await getSession(cookie))).toMatch(/^vishnu=; .*Max-Age=0/)
    slow.set('cart', ['book'])
    expect(await commitSession(slow)).toBe('')
    expect((await getSession(cookie)).data).toEqual({})
  })

  test('has nothing to store and no cookie to set for a visitor of whom nothing is to be kept', async () => {
    const { getSession, commitSession, destroySession } = storage()
    const session = await getSession('vishnu=forged')
    expect(session.id).toBe('')
    expect(await commitSession(session, { maxAge: undefined })).toBe('')
    expect(await destroySession(await getSession())).toBe('')
  })

  test('sets no cookie where the browser has the right one', async () => {
    const { getSession, commitSession } = storage()
    const first = await getSession()
    first.set('user', 'ada')
    const cookie = cookieOf(await commitSession(first))
    const second = await getSession(cookie)
    second.set('user', 'bob')
    expect(await commitSession(second)).toBe('')
    expect((await getSession(cookie)).get('user')).toBe('bob')
  })

  test('takes maxAge as the timeout of the session, and 0 as its end', async () => {
    const { sessions, getSession, commitSession } = storage()
    const session = await getSession()
    session.set('user', 'ada')
    const setCookie = await commitSession(session, { maxAge: 600 })
    expect(setCookie).toMatch(/; Max-Age=600;/)
    const cookie = cookieOf(setCookie)
    expect((await sessions.open(cookie).session()).timeout).toBe(600)

    expect(await commitSession(await getSession(cookie), { maxAge: 0 })).toMatch(/Max-Age=0/)
    expect((await getSession(cookie)).data).toEqual({})
  })

  test('refuses other options of a cookie, which are the same for all sessions', async () => {
    const { getSession, commitSession } = storage()
    const options = { maxAge: 600, expires: new Date(), secure: true, domain: undefined }
    await expect(commitSession(await getSession(), options)).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      problems: [expect.stringContaining('expires'), expect.stringContaining('secure')],
    })
  })

  test('moves to a new id by regenerate(), which the old cookie does not open', async () => {
    const { getSession, commitSession } = storage()
    const first = await getSession()
    first.set('cart', ['book'])
    const before = cookieOf(await commitSession(first))

    const session = await getSession(before)
    session.set('user', 'ada')
    session.regenerate({ authenticated: true })
    const after = cookieOf(await commitSession(session))
    expect(after).not.toBe(before)
    expect((await getSession(before)).data).toEqual({})
    expect((await getSession(after)).data).toEqual({ cart: ['book'], user: 'ada' })
    expect((await getSession(after)).id).toBe(session.id)
  })

  test('lets nothing be changed by hand, and nothing after the commit, where it would be lost', async () => {
    const { getSession, commitSession } = storage()
    const session = await getSession()
    session.set('cart', ['book'])
    expect(() => (session.get('cart') as string[]).push('pen')).toThrow(TypeError)
    await commitSession(session)
    expect(() => session.set('user', 'ada')).toThrow(expect.objectContaining({ code: 'ERR_COMMITTED' }))
    expect(session.get('cart')).toEqual(['book'])
  })

  test('takes only its own sessions', async () => {
    const { commitSession, destroySession } = storage()
    const foreign = await storage().getSession()
    await expect(commitSession(foreign)).rejects.toMatchObject({ code: 'ERR_VALUE' })
    await expect(destroySession(foreign)).rejects.toMatchObject({ code: 'ERR_VALUE' })
  })

  test('rejects when the backend is down: that is no visitor without a session', async () => {
    const { getSession, commitSession } = storage()
    const first = await getSession()
    first.set('user', 'ada')
    const cookie = cookieOf(await commitSession(first))
    const broken = storage({ backend: new DownBackend(memory()) })
    await expect(broken.getSession(cookie)).rejects.toMatchObject({ code: 'ERR_BACKEND', status: 503 })
    const visitor = await broken.getSession()
    visitor.set('user', 'ada')
    await expect(broken.commitSession(visitor)).rejects.toMatchObject({ code: 'ERR_BACKEND', status: 503 })
  })
})
