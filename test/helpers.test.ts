import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { existsSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import cookieHeaders from './fixtures/cookie-headers.json' with { type: 'json' }
import { startBlackhole } from './helpers/blackhole.js'
import { Browser } from './helpers/browser.js'
import { manualClock } from './helpers/clock.js'
import { CookieJar } from './helpers/cookie-jar.js'
import { expandCookieHeader } from './helpers/expand-cookie-header.js'
import { seededRandom } from './helpers/random.js'
import { startRedis, type RedisServer } from './helpers/redis-server.js'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

describe('redis server', () => {
  async function start(options?: Parameters<typeof startRedis>[0]): Promise<RedisServer> {
    const redis = await startRedis(options)
    cleanups.push(redis.stop)
    return redis
  }

  test('answers commands as text', async () => {
    const redis = await start()
    expect(await redis.command('SET', 'key', 'välue\r\n')).toBe('OK')
    expect(await redis.command('GET', 'key')).toBe('välue\r\n')
    expect(await redis.command('GET', 'other')).toBe('(nil)')
    expect(await redis.command('MGET', 'key', 'other')).toBe('välue\r\n\n(nil)')
    expect(await redis.command('SET', 'large', 'x'.repeat(1_000_000))).toBe('OK')
    expect(await redis.command('GET', 'large')).toHaveLength(1_000_000)
    await expect(redis.command('NONSENSE')).rejects.toThrow('unknown command')
  })

  test('keeps acknowledged writes over a kill only with appendfsync', async () => {
    const durable = await start({ appendfsync: 'always' })
    const forgetful = await start()
    for (const redis of [durable, forgetful]) {
      await redis.command('SET', 'key', 'value')
      await redis.kill9()
      await expect(redis.command('PING')).rejects.toThrow('ECONNREFUSED')
      await redis.restart()
    }
    expect(await durable.command('GET', 'key')).toBe('value')
    expect(await forgetful.command('GET', 'key')).toBe('(nil)')
  })

  test('says nothing while it is paused', async () => {
    const redis = await start()
    redis.pause()
    const reply = redis.command('PING')
    const silence = new Promise((resolve) => setTimeout(resolve, 100, 'silence'))
    expect(await Promise.race([reply, silence])).toBe('silence')
    redis.resume()
    expect(await reply).toBe('PONG')
  })

  test('leaves no folder behind, even when it is stopped while paused', async () => {
    const redis = await start()
    expect(existsSync(redis.dir)).toBe(true)
    redis.pause()
    await redis.stop()
    expect(existsSync(redis.dir)).toBe(false)
  })
})

describe('cookie jar', () => {
  const url = (path: string): URL => new URL(path, 'http://www.example.com')

  test('obeys Max-Age before Expires, and forgets at the deadline', () => {
    const clock = manualClock(0)
    const jar = new CookieJar(clock.now)
    jar.store('a=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:05 GMT', url('/'))
    jar.store('b=2; Expires=Thu, 01 Jan 1970 00:00:05 GMT', url('/'))
    jar.store('c=3', url('/'))
    clock.set(4_999)
    expect(jar.header(url('/'))).toBe('a=1; b=2; c=3')
    clock.set(5_000)
    expect(jar.header(url('/'))).toBe('a=1; c=3')
    clock.advance(5_000)
    expect(jar.header(url('/'))).toBe('c=3')
    jar.store('c=; Max-Age=0', url('/'))
    expect(jar.header(url('/'))).toBeUndefined()
  })

  test('keeps cookies of different paths apart and sends the longest path first', () => {
    const jar = new CookieJar()
    jar.store('id=root; Path=/', url('/shop/cart'))
    jar.store('id=shop', url('/shop/cart'))
    expect(jar.header(url('/shop'))).toBe('id=shop; id=root')
    expect(jar.header(url('/shop/other'))).toBe('id=shop; id=root')
    expect(jar.header(url('/shopping'))).toBe('id=root')
    jar.store('id=; Path=/; Max-Age=0', url('/'))
    expect(jar.header(url('/shop'))).toBe('id=shop')
  })

  test('keeps cookies with a Domain for subdomains and the others for one host', () => {
    const jar = new CookieJar()
    jar.store('wide=1; Domain=.Example.com', url('/'))
    jar.store('narrow=2', url('/'))
    jar.store('foreign=3; Domain=example.org', url('/'))
    expect(jar.header(url('/'))).toBe('wide=1; narrow=2')
    expect(jar.header(new URL('http://api.example.com/'))).toBe('wide=1')
    expect(jar.header(new URL('http://badexample.com/'))).toBeUndefined()
  })

  test('keeps Secure cookies to this machine and to https', () => {
    const line = '__Host-id=1; Secure; Path=/'
    for (const origin of ['http://127.0.0.1:3000', 'http://localhost', 'https://example.com']) {
      const jar = new CookieJar()
      jar.store(line, new URL(origin))
      expect(jar.header(new URL(origin))).toBe('__Host-id=1')
    }
    const jar = new CookieJar()
    jar.store(line, url('/'))
    jar.store('__Host-id=1; Secure; Path=/; Domain=localhost', new URL('http://localhost'))
    jar.store('__Secure-id=1', new URL('http://localhost'))
    expect(jar.all()).toEqual([])
  })
})

describe('browser', () => {
  async function serve(listener: RequestListener): Promise<number> {
    const server = createServer(listener).listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanups.push(() => server.close())
    return (server.address() as AddressInfo).port
  }

  test('returns cookies, and a clone holds a copy of them', async () => {
    const port = await serve((incoming, response) => {
      response.setHeader('Set-Cookie', ['a=1', 'b=2; Path=/elsewhere'])
      response.end(`${incoming.method} ${incoming.headers.host} ${incoming.headers.cookie}`)
    })
    const browser = new Browser()
    const first = await browser.post(`http://shop.example:${port}/`, { body: 'x' })
    expect(first).toMatchObject({ status: 200, body: `POST shop.example:${port} undefined` })
    expect(first.setCookies).toEqual(['a=1', 'b=2; Path=/elsewhere'])
    expect(browser.cookie('b')).toBe('2')

    const thief = browser.clone()
    browser.jar.clear()
    expect((await browser.get(`http://shop.example:${port}/`)).body).toMatch(/undefined$/)
    expect((await thief.get(`http://shop.example:${port}/`)).body).toMatch(/ a=1$/)
    const forged = await thief.get(`http://shop.example:${port}/`, { headers: { cookie: 'a=forged' } })
    expect(forged.body).toMatch(/ a=forged$/)
  })

  test('follows redirects only when asked', async () => {
    const port = await serve((incoming, response) => {
      if (incoming.url === '/end') response.end(`${incoming.method} ${incoming.headers.cookie}`)
      else response.writeHead(303, { location: '/end', 'set-cookie': 'step=1' }).end()
    })
    const browser = new Browser()
    const url = `http://127.0.0.1:${port}/start`
    expect((await browser.post(url)).status).toBe(303)
    expect((await browser.post(url, { body: 'x', redirect: 'follow' })).body).toBe('GET step=1')
  })

  test('rejects a response that breaks off, with its cookies taken', async () => {
    const port = await serve((_, response) => {
      response.writeHead(200, { 'set-cookie': 'a=1', 'content-length': '10' }).write('half', () => response.destroy())
    })
    const browser = new Browser()
    await expect(browser.get(`http://127.0.0.1:${port}/`)).rejects.toThrow('aborted')
    expect(browser.cookie('a')).toBe('1')
  })
})

test('a black hole accepts and never answers', async () => {
  const blackhole = await startBlackhole()
  const socket = connect(blackhole.port, '127.0.0.1')
  socket.write('PING\r\n')
  const answer = once(socket, 'data').catch(() => 'closed')
  const silence = new Promise((resolve) => setTimeout(resolve, 100, 'silence'))
  expect(await Promise.race([answer, silence])).toBe('silence')
  expect(blackhole.connections()).toBe(1)
  socket.on('error', () => undefined)
  await blackhole.close()
})

test('seeded bytes repeat with their seed and not within it', () => {
  const [one, same, other] = [seededRandom(1), seededRandom(1), seededRandom(2)]
  const bytes = one(40)
  expect(bytes).toHaveLength(40)
  expect(same(40)).toEqual(bytes)
  expect(other(40)).not.toEqual(bytes)
  expect(one(40)).not.toEqual(bytes)
})

test('every placeholder of the recorded Cookie headers can be expanded', () => {
  const cookies = { A: 'a1.signed', B: 'b2.signed' }
  const headers = cookieHeaders.cases.map(({ header }) => expandCookieHeader(header ?? '', cookies))
  expect(headers).toContain('vishnu=a1.signed; vishnu=b2.signed')
  expect(headers.join()).not.toMatch(/<.*>/)
})
