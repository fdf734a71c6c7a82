import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sessionMiddleware } from '../src/adapters/node.js'
import { memory } from '../src/backends/memory.js'
import { createSessions } from '../src/index.js'
import { type SharedCache, startSharedCache } from './helpers/contract-cache.js'
import { type RunningServer, startServer } from './helpers/http-server.js'

// Behind nginx, set up to keep for everybody whatever it may keep.

const sessions = createSessions({
  secret: 'known to this server and to nobody else',
  backend: memory(),
  autoSave: true,
  secure: false,
  onEvent: () => undefined,
})
const middleware = sessionMiddleware(sessions)

/** What pages do: their paths may be anything after that, so that each test has pages of its own. */
const pages: Record<string, (request: IncomingMessage, response: ServerResponse, name: string) => Promise<string>> = {
  plain: async () => 'for everybody',
  careless: async (_, response, name) => {
    response.setHeader('Set-Cookie', `own=${name}`)
    return name
  },
  enter: async (request, _, name) => {
    const session = await sessions.get(request)
    session.set('name', name)
    return name
  },
  show: async (request) => String((await sessions.get(request)).get('name')),
}

const server = createServer((request, response) => {
  middleware(request, response, () => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
    const own = searchParams.get('cache-control')
    if (own !== null) response.setHeader('Cache-Control', own)
    const page = pages[pathname.split('/')[1] ?? ''] ?? pages['plain']
    const name = request.headers['user-agent'] ?? ''
    page?.(request, response, name).then(
      (body) => response.end(body),
      () => response.writeHead(500).end(),
    )
  })
})

let running: RunningServer
let cache: SharedCache
beforeAll(async () => {
  running = await startServer(server)
  cache = await startSharedCache(running.port)
})
afterAll(async () => {
  await cache.stop()
  await running.close()
})

interface Page {
  readonly body: string
  readonly cookie: string | undefined
  /** HIT: it came from the cache. */
  readonly from: string | null
}

/** A page as a visitor gets it through the cache. */
async function get(path: string, visitor: string, cookie = ''): Promise<Page> {
  const response = await fetch(new URL(path, cache.origin), { headers: { 'user-agent': visitor, cookie } })
  const [setCookie] = response.headers.getSetCookie()
  return { body: await response.text(), cookie: setCookie?.split(';')[0], from: response.headers.get('x-cache') }
}

let paths = 0
function newPath(page: string, own?: string): string {
  const query = own === undefined ? '' : `?${new URLSearchParams({ 'cache-control': own }).toString()}`
  return `/${page}/${paths++}${query}`
}

describe('cache leakage: behind a real shared cache', () => {
  test('a page that asks for no session is kept, and so is any cookie that is not ours', async () => {
    const plain = newPath('plain')
    expect((await get(plain, 'alice')).from).toBe('MISS')
    expect((await get(plain, 'bob')).from).toBe('HIT')
    const careless = newPath('careless')
    await get(careless, 'alice')
    expect(await get(careless, 'bob')).toEqual({ body: 'alice', cookie: 'own=alice', from: 'HIT' })
  })

  test.each([undefined, 'public, max-age=600', 's-maxage=600', 'no-cache="Set-Cookie"', 'private="x-header"'])(
    'a page that sets our cookie reaches nobody else, with Cache-Control %s of its own',
    async (own) => {
      const path = newPath('enter', own)
      const [alice, bob] = [await get(path, 'alice'), await get(path, 'bob')]
      expect([alice.body, bob.body]).toEqual(['alice', 'bob'])
      expect([alice.from, bob.from]).toEqual(['MISS', 'MISS'])
      expect(alice.cookie).toMatch(/^vishnu=/)
      expect(bob.cookie).toMatch(/^vishnu=/)
      expect(bob.cookie).not.toBe(alice.cookie)
      const show = newPath('show')
      expect((await get(show, 'bob', bob.cookie)).body).toBe('bob')
    },
  )

  test.each([undefined, 'public, max-age=600', 's-maxage=600'])(
    "a page that reads the session is never another visitor's, with Cache-Control %s of its own",
    async (own) => {
      const alice = (await get(newPath('enter'), 'alice')).cookie
      const bob = (await get(newPath('enter'), 'bob')).cookie
      const path = newPath('show', own)
      for (let time = 0; time < 2; time++) {
        expect((await get(path, 'alice', alice)).body).toBe('alice')
        expect((await get(path, 'bob', bob)).body).toBe('bob')
        expect((await get(path, 'eve')).body).toBe('undefined')
      }
    },
  )
})
