import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  socketSession,
  type SessionEnd,
  type SocketSession,
  type SocketSessionOptions,
} from '../../src/adapters/websocket.js'
import { createSessions, type Session, type SessionData, type Sessions } from '../../src/index.js'
import { manualClock } from '../helpers/clock.js'
import { ParkingBackend } from '../helpers/http-parking.js'
import { startServer } from '../helpers/http-server.js'

/** Seconds: whatever another process did is seen within a moment. */
const SOON = 0.02

const backend = new ParkingBackend()
const clock = manualClock()
const site = (store = backend): Sessions =>
  createSessions({
    secret: 'a secret for tests, and for nothing else',
    backend: store,
    autoSave: true,
    timeout: 600,
    clock: clock.now,
  })
const sessions = site()
/** Another process, on the same backend. */
const elsewhere = site()

/** One request of a visitor: what it returns is their cookie from then on. */
async function request(on: Sessions, act: (session: Session) => unknown, cookie?: string): Promise<string | undefined> {
  const visit = on.open(cookie)
  await act(await visit.session())
  const { append } = await on.commit(visit, () => undefined)
  const line = append.find(([name]) => name.toLowerCase() === 'set-cookie')?.[1]
  return line?.split(';')[0] ?? cookie
}

const logIn = (): Promise<string | undefined> => request(sessions, (session) => session.set('user', 'ada'))

async function open(
  cookie: string | undefined,
  options?: SocketSessionOptions,
): Promise<{ socket: SocketSession<SessionData>; ends: SessionEnd[]; ended: Promise<SessionEnd> }> {
  const socket = await socketSession(sessions, { headers: { cookie } }, options)
  onTestFinished(() => socket.close())
  const ends: SessionEnd[] = []
  const ended = new Promise<SessionEnd>((resolve) => {
    socket.onEnd((end) => {
      ends.push(end)
      resolve(end)
    })
  })
  return { socket, ends, ended }
}

describe('while it is open', () => {
  test('the session is there when the socket is asked for', async () => {
    const { socket } = await open(await logIn())
    expect(socket.session.get('user')).toBe('ada')
  })

  test('reload() sees what requests have changed since', async () => {
    const cookie = await logIn()
    const { socket } = await open(cookie)
    await request(elsewhere, (session) => session.set('cart', ['book']), cookie)
    expect(socket.session.get('cart')).toBeUndefined()
    expect((await socket.reload()).get('cart')).toEqual(['book'])
    expect(socket.session.get('cart')).toEqual(['book'])
  })

  test('update() builds on the newest state, and set() says that it comes too late', async () => {
    const cookie = await logIn()
    const { socket } = await open(cookie)
    await request(elsewhere, (session) => session.set('count', 1), cookie)
    expect(await socket.session.update('count', (count) => Number(count) + 1)).toBe(2)
    expect(() => socket.session.set('count', 3)).toThrow(expect.objectContaining({ code: 'ERR_COMMITTED' }))
  })

  test('reload() keeps the session alive, and looking after it does not', async () => {
    const cookie = await logIn()
    const { socket, ended } = await open(cookie, { checkEvery: SOON })
    for (let half = 0; half < 4; half++) {
      clock.advance(300_000)
      expect((await socket.reload()).get('user')).toBe('ada')
    }
    const calls = backend.calls.length
    clock.advance(300_000)
    await expect.poll(() => backend.calls.slice(calls)).toContain('read')
    clock.advance(300_000)
    expect(await ended).toBe('expired')
    expect(new Set(backend.calls.slice(calls))).toEqual(new Set(['read']))
  })

  test('reload() does not write each time for a cookie that is to be sealed anew, which it can not be here', async () => {
    const cookie = await logIn()
    const rotated = createSessions({
      secret: ['another secret for tests, and for nothing else', 'a secret for tests, and for nothing else'],
      backend,
      timeout: 600,
      clock: clock.now,
    })
    const socket = await socketSession(rotated, { headers: { cookie } })
    const calls = backend.calls.length
    for (let times = 0; times < 3; times++) await socket.reload()
    expect(backend.calls.slice(calls)).toEqual(['read', 'read', 'read'])
  })

  test('a visitor without a session has an empty one, and nobody looks after it', async () => {
    const calls = backend.calls.length
    const { socket, ends } = await open(undefined, { checkEvery: SOON })
    expect(socket.session.get('user')).toBeUndefined()
    await expect(socket.session.update('user', () => 'eve')).rejects.toMatchObject({ code: 'ERR_COMMITTED' })
    expect([backend.calls.slice(calls), ends]).toEqual([[], []])
  })

  test('an outage is told by reload(), and ends nothing', async () => {
    const store = new ParkingBackend()
    const own = createSessions({ secret: 'a secret for tests, and for nothing else', backend: store, autoSave: true })
    const cookie = await request(own, (session) => session.set('user', 'ada'))
    const socket = await socketSession(own, { headers: { cookie } }, { checkEvery: SOON })
    onTestFinished(() => socket.close())
    socket.onEnd((end) => expect.unreachable(end))
    store.fail()
    const calls = store.calls.length
    await expect(socket.reload()).rejects.toMatchObject({ code: 'ERR_BACKEND', status: 503 })
    await expect.poll(() => store.calls.length).toBeGreaterThan(calls + 3)
    store.release()
    expect((await socket.reload()).get('user')).toBe('ada')
  })
})

describe('it is told that its session has ended', () => {
  const endings: Record<SessionEnd, (on: Sessions, cookie: string | undefined) => unknown> = {
    terminated: (on, cookie) => request(on, (session) => session.terminate(), cookie),
    rotated: (on, cookie) => request(on, (session) => session.regenerate({ authenticated: true }), cookie),
    expired: (on, cookie) => {
      clock.advance(600_000)
      return request(on, (session) => session.get('user'), cookie)
    },
  }

  test.each(Object.entries(endings))('at once, in this process: %s', async (end, act) => {
    const cookie = await logIn()
    const { socket, ended, ends } = await open(cookie)
    await act(sessions, cookie)
    expect(await ended).toBe(end)
    expect(() => socket.session).toThrow(expect.objectContaining({ code: 'ERR_SESSION_GONE', status: 409 }))
    await expect(socket.reload()).rejects.toMatchObject({ code: 'ERR_SESSION_GONE' })
    expect(ends).toEqual([end])
  })

  test.each(['terminated', 'rotated'] as const)('at once, however seldom it looks: %s', async (end) => {
    const cookie = await logIn()
    const { ended } = await open(cookie, { checkEvery: 86_400 })
    // It looks when it is opened, too: that look has found the session by then.
    await nextTurn()
    await endings[end](sessions, cookie)
    expect(await ended).toBe(end)
  })

  test.each(Object.entries(endings))('within its interval, by another process: %s', async (end, act) => {
    const cookie = await logIn()
    const { ended, ends } = await open(cookie, { checkEvery: SOON })
    await act(elsewhere, cookie)
    expect(await ended).toBe(end)
    expect(ends).toEqual([end])
  })

  test('by itself too', async () => {
    const { socket, ended } = await open(await logIn())
    await socket.session.terminate()
    expect(await ended).toBe('terminated')
  })

  test('whenever it asks, though nobody looked after it until then', async () => {
    const cookie = await logIn()
    const socket = await socketSession(sessions, { headers: { cookie } }, { checkEvery: SOON })
    onTestFinished(() => socket.close())
    await request(sessions, (session) => session.terminate(), cookie)
    expect(await new Promise((resolve) => socket.onEnd(resolve))).toBe('terminated')
    expect(await new Promise((resolve) => socket.onEnd(resolve))).toBe('terminated')
  })

  test('as are all sockets of the visitor, and nobody else', async () => {
    const [ada, grace] = [await logIn(), await logIn()]
    const tabs = await Promise.all([open(ada), open(ada)])
    const other = await open(grace)
    await request(sessions, (session) => session.terminate(), ada)
    expect(await Promise.all(tabs.map(({ ended }) => ended))).toEqual(['terminated', 'terminated'])
    expect((await other.socket.reload()).get('user')).toBe('ada')
    expect(other.ends).toEqual([])
  })

  test('if it ended between the handshake and the first that asks to be told', async () => {
    const cookie = await logIn()
    const socket = await socketSession(sessions, { headers: { cookie } })
    onTestFinished(() => socket.close())
    await request(elsewhere, (session) => session.terminate(), cookie)
    expect(await new Promise((resolve) => socket.onEnd(resolve))).toBe('terminated')
  })

  test('by a log-out whose first answer was lost', async () => {
    const store = new ParkingBackend()
    const own = site(store)
    const cookie = await request(own, (session) => session.set('user', 'ada'))
    const socket = await socketSession(own, { headers: { cookie } })
    onTestFinished(() => socket.close())
    const ended = new Promise((resolve) => socket.onEnd(resolve))
    store.loseNextReply()
    await request(own, (session) => session.terminate(), cookie)
    expect(await ended).toBe('terminated')
  })

  test('never if it asks to be told when it is closed', async () => {
    const cookie = await logIn()
    const socket = await socketSession(sessions, { headers: { cookie } }, { checkEvery: SOON })
    socket.close()
    const late: SessionEnd[] = []
    socket.onEnd((end) => late.push(end))
    const { ended } = await open(cookie, { checkEvery: SOON })
    await request(sessions, (session) => session.terminate(), cookie)
    await ended
    expect(late).toEqual([])
  })

  test.each([
    ['this', sessions, 86_400],
    ['another', elsewhere, SOON],
  ])('but not any more when it is closed, and the others are: by %s process', async (_, where, checkEvery) => {
    const cookie = await logIn()
    const { socket, ends } = await open(cookie, { checkEvery })
    const other = await open(cookie, { checkEvery })
    await nextTurn()
    socket.close()
    await request(where, (session) => session.terminate(), cookie)
    expect(await other.ended).toBe('terminated')
    expect(ends).toEqual([])
  })
})

describe('who may open one', () => {
  const ask = (origin: string | undefined, origins?: readonly string[]): Promise<unknown> =>
    socketSession(sessions, { headers: { host: 'shop.example', origin } }, origins && { origins })

  test.each([
    ['a page of the same host', 'https://shop.example', undefined],
    ['a program, which sends no Origin', undefined, undefined],
    ['a page of a listed origin', 'https://admin.example', ['https://admin.example']],
  ])('%s', async (_, origin, origins) => {
    expect(await ask(origin, origins)).toBeDefined()
  })

  test.each([
    ['a page of another host', 'https://evil.example', undefined],
    ['a page of a subdomain', 'https://blog.shop.example', undefined],
    ['a page of another port', 'https://shop.example:8443', undefined],
    ['a page that hides where it is from', 'null', undefined],
    ['a file', 'file://', undefined],
    ['a page of a listed host by another scheme', 'http://admin.example', ['https://admin.example']],
  ])('not %s', async (_, origin, origins) => {
    await expect(ask(origin, origins)).rejects.toMatchObject({ code: 'ERR_ORIGIN', status: 403 })
  })

  test('a request of the fetch kind is understood as well', async () => {
    const cookie = (await logIn()) ?? ''
    const headers = new Headers({ cookie, host: 'shop.example', origin: 'https://shop.example' })
    const socket = await socketSession(sessions, { headers })
    onTestFinished(() => socket.close())
    expect(socket.session.get('user')).toBe('ada')
    headers.set('origin', 'https://evil.example')
    await expect(socketSession(sessions, { headers })).rejects.toMatchObject({ code: 'ERR_ORIGIN' })
  })

  test.each([
    [{ checkEvery: 0 }, /checkEvery must be a number of seconds up to 86400/],
    [{ checkEvery: Number.NaN }, /checkEvery must be a number of seconds/],
    [{ orgins: ['https://shop.example'] }, /orgins is not an option/],
    [{ origins: 'https://shop.example' }, /origins must be a list of origins/],
    [{ origins: ['shop.example'] }, /origins must be a list of origins, such as https:\/\/shop.example/],
  ])('wrong options are refused: %o', async (options, message) => {
    const opened = socketSession(sessions, { headers: {} }, options as SocketSessionOptions)
    await expect(opened).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringMatching(message) }),
    )
  })
})

test("Node's own upgrade request is one", async () => {
  const cookie = await logIn()
  const server = createServer()
  const seen = new Promise<unknown>((resolve, reject) => {
    server.on('upgrade', (incoming, connection) => {
      socketSession(sessions, incoming)
        .then((socket) => {
          resolve(socket.session.get('user'))
          socket.close()
        }, reject)
        .finally(() => connection.destroy())
    })
  })
  const { port, close } = await startServer(server)
  onTestFinished(close)
  const client = connect(port, '127.0.0.1')
  onTestFinished(() => void client.destroy())
  client.on('error', () => undefined)
  await once(client, 'connect')
  client.write(
    `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: ${cookie}\r\n\r\n`,
  )
  expect(await seen).toBe('ada')
})
