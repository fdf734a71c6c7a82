import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sessionMiddleware } from '../src/adapters/express.js'
import { memory } from '../src/backends/memory.js'
import { createSessions, type Session } from '../src/index.js'
import { Browser } from './helpers/browser.js'
import { manualClock } from './helpers/clock.js'

// The story of one visitor, from the first page to the next day. Read it from top to bottom.

interface Values {
  user: string
  cart: string[]
  theme: string
  lastPage: string
}

const clock = manualClock()
const sessions = createSessions<Values>({
  secret: 'a secret of at least thirty-two characters',
  backend: memory(),
  autoSave: true,
  timeout: 3600,
  clock: clock.now,
})

const slowQuery = new EventEmitter()
const pages: Record<string, (session: Session<Values>) => unknown> = {
  '/': (session) => `Hello ${session.get('user') ?? 'stranger'}, ${session.get('cart')?.length ?? 0} in your cart`,
  '/buy/book': (session) => session.update('cart', (cart = []) => [...cart, 'a book']),
  '/buy/lamp': (session) => session.update('cart', (cart = []) => [...cart, 'a lamp']),
  '/theme/dark': (session) => session.set('theme', 'dark'),
  '/login/ann': (session) => {
    session.set('user', 'Ann')
    session.regenerate({ authenticated: true })
  },
  '/remember-me': (session) => (session.timeout = 7 * 24 * 3600),
  '/logout': (session) => session.terminate(),
  '/report': async (session) => {
    slowQuery.emit('begun')
    await once(slowQuery, 'done')
    session.set('lastPage', '/report')
  },
}

const middleware = sessionMiddleware(sessions)
const server = createServer((request, response) => middleware(request, response, () => void answer(request, response)))

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const session = await sessions.get(request)
  const body = await pages[request.url ?? '/']?.(session)
  response.end(typeof body === 'string' ? body : 'done')
}

const ann = new Browser({ now: clock.now })
/** A page, and whether it came with a cookie. */
async function visit(path: string, browser = ann): Promise<[body: string, cookie: 'cookie' | 'no cookie']> {
  const { body, setCookies } = await browser.get(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`)
  return [body, setCookies.length > 0 ? 'cookie' : 'no cookie']
}

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => void server.close())

test('one visitor arrives, shops, logs in, works in two tabs, stays for a week, logs out, and comes back', async () => {
  // Who only looks gets no cookie, and nothing is stored.
  expect(await visit('/')).toEqual(['Hello stranger, 0 in your cart', 'no cookie'])

  // The first thing to keep brings the cookie; from then on it is not sent again.
  expect(await visit('/buy/book')).toEqual(['done', 'cookie'])
  expect(await visit('/buy/lamp')).toEqual(['done', 'no cookie'])
  expect(await visit('/')).toEqual(['Hello stranger, 2 in your cart', 'no cookie'])

  // A log-in keeps the cart and changes the id: a copy of the old cookie is worthless.
  const thief = ann.clone()
  expect(await visit('/login/ann')).toEqual(['done', 'cookie'])
  expect(await visit('/')).toEqual(['Hello Ann, 2 in your cart', 'no cookie'])
  expect(await visit('/', thief)).toEqual(['Hello stranger, 0 in your cart', 'no cookie'])

  // Tabs that work at the same time do not overwrite each other, not even in the same cart.
  const tabs = ['/buy/book', '/theme/dark', '/buy/lamp', '/buy/book'].map((path) => visit(path))
  expect(await Promise.all(tabs)).toEqual(tabs.map(() => ['done', 'no cookie']))
  expect(await visit('/')).toEqual(['Hello Ann, 5 in your cart', 'no cookie'])

  // Sessions last an hour here. Ann's lasts a week, and each visit begins it anew.
  expect(await visit('/remember-me')).toEqual(['done', 'cookie'])
  for (const day of [6, 12, 18]) {
    clock.advance(6 * 24 * 3_600_000)
    expect(await visit('/'), `day ${day}`).toEqual(['Hello Ann, 5 in your cart', 'cookie'])
  }

  // She logs out in one tab while another one is still busy, and stays logged out, with and without the old cookie.
  const copy = ann.clone()
  const begun = once(slowQuery, 'begun')
  const slowTab = visit('/report')
  await begun
  expect(await visit('/logout')).toEqual(['done', 'cookie'])
  expect(ann.cookie('vishnu')).toBeUndefined()
  slowQuery.emit('done')
  expect(await slowTab).toEqual(['done', 'no cookie'])
  expect(await visit('/')).toEqual(['Hello stranger, 0 in your cart', 'no cookie'])
  expect(await visit('/', copy)).toEqual(['Hello stranger, 0 in your cart', 'no cookie'])

  // The next day she is a new visitor.
  clock.advance(24 * 3_600_000)
  expect(await visit('/buy/lamp')).toEqual(['done', 'cookie'])
  expect(await visit('/')).toEqual(['Hello stranger, 1 in your cart', 'no cookie'])
})
