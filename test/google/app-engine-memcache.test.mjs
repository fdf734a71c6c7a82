import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { appEngineMemcache, withAppEngineTicket } from '../../src/backends/app-engine-memcache.ts'
import { vishnuPython } from '../../src/dialects/vishnu-python.ts'
import { decodeRecord } from '../../src/dialects/vishnu-python/record.ts'
import { backendLaws, faultNames, plainLaws, runHistory } from '../../src/testing/index.ts'
import { Browser } from '../helpers/browser.ts'
import { begin, newVisitor, startServer, valuesOf } from '../helpers/contract-requests.ts'
import { rounds } from '../helpers/contract-rounds.ts'
import { pythonCookie, pythonRecord } from '../helpers/python-sharing.ts'
import { World } from '../helpers/unit-world.ts'
import { startApiServer, startPythonClient, whyNoApiServer } from './helpers/api-server.mjs'
import { startApp } from './helpers/app-engine-app.mjs'
import { startRecordingProxy } from './helpers/recording-proxy.mjs'

const NAMESPACE = 'vishnu'
const [HOUR, DAY] = [3_600_000, 86_400_000]
/** Milliseconds. A busy machine is no outage. */
const patient = 20_000

const sdk = inject('sdk')
const missing = whyNoApiServer(sdk)
if (missing && !sdk.missing) process.stdout.write(`The tests on App Engine's API server are skipped: ${missing}.\n`)

const newKey = () => randomBytes(32).toString('base64url')
const inRequest = (work) => withAppEngineTicket({ headers: { 'x-appengine-api-ticket': 'a ticket' } }, work)

describe.skipIf(missing)("on the API server of Google's SDK", () => {
  let server
  let python
  beforeAll(async () => {
    server = await startApiServer(sdk)
    python = startPythonClient(sdk, server.port)
  })
  afterAll(async () => {
    await python?.stop()
    await server?.stop()
  })

  const cleanups = []
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
  })

  const open = (options) => appEngineMemcache({ host: '127.0.0.1', port: server.port, timeout: patient, ...options })

  function opened(options) {
    const backend = open(options)
    cleanups.push(() => backend.close())
    return backend
  }

  /** As the server does it: what was used least recently goes when more is stored than it may hold. */
  async function evict(key) {
    await python.call('limit', 200_000)
    const value = Buffer.alloc(50_000).toString('base64')
    while (await python.call('isThere', key, NAMESPACE)) await python.call('set', newKey(), NAMESPACE, value)
    await python.call('limit', 1e12)
  }

  describe('every law of backends is kept, those of backends that may evict among them:', () => {
    const laws = backendLaws(() => open(), { evict: (key) => evict(key) })
    test.each(laws.map(({ name, check }) => [name, check]))('%s', async (_, check) =>
      expect(await inRequest(check)).toBeUndefined(),
    )
  })

  describe('every law of plain backends is kept, with the client in Python as the other library:', () => {
    const decoded = (text) => (text === null ? undefined : Buffer.from(text, 'base64'))
    const laws = plainLaws(() => open({ layout: 'plain' }), {
      write: async (key, value) => {
        await python.call('set', key, NAMESPACE, Buffer.from(value).toString('base64'))
      },
      read: async (key) => decoded(await python.call('get', key, NAMESPACE)),
    })
    test.each(laws.map(({ name, check }) => [name, check]))('%s', async (_, check) =>
      expect(await inRequest(check)).toBeUndefined(),
    )
  })

  describe('what is stored', () => {
    const now = Date.now()
    const value = Buffer.from('a value')
    let backend
    let key
    beforeEach(() => {
      backend = opened()
      key = newKey()
    })
    const stored = async () => Buffer.from(await python.call('get', key, NAMESPACE), 'base64').toString()

    test('is bytes for the client in Python: a token, the deadline, a line end and the value', async () => {
      await inRequest(() => backend.create(key, value, now + HOUR, now))
      expect(await stored()).toMatch(/^[\w-]{22}\d{13}\na value$/)
      expect((await stored()).slice(22)).toBe(`${now + HOUR}\na value`)
    })

    test('is in the namespace that was chosen, and no other has it', async () => {
      const shop = opened({ namespace: 'shop.sessions' })
      await inRequest(() => shop.create(key, value, now + HOUR, now))
      expect(await inRequest(() => shop.read(key, now))).toMatchObject({ value })
      expect(await python.call('get', key, 'shop.sessions')).toBeTypeOf('string')
      expect(await python.call('get', key, NAMESPACE)).toBe(null)
      expect(await inRequest(() => backend.read(key, now))).toBeUndefined()
    })

    test.each([
      ['a minute beyond its deadline', HOUR, 60_000],
      ['a day beyond its deadline where that is a date, after 30 days', 31 * DAY, DAY],
    ])('is kept for %s', async (_, lifetime, slack) => {
      const start = Date.now()
      await inRequest(() => backend.create(key, value, start + lifetime, start))
      const end = (await python.call('expiry', key, NAMESPACE)) * 1000
      expect(end).toBeGreaterThanOrEqual(start + lifetime + slack - 1000)
      expect(end).toBeLessThanOrEqual(Date.now() + lifetime + slack + 1000)
    })

    test("stays below Google's limit of a million bytes, and is an outage beyond the server's own", async () => {
      // The head of an entry, and its key.
      expect(backend.maxBytes).toBe(1_000_000 - 36 - 43)
      const tooLong = inRequest(() => backend.create(key, Buffer.alloc(1_048_576), now + HOUR, now))
      await expect(tooLong).rejects.toThrow('Set failed: the API server has thrown an exception')
      expect(await inRequest(() => backend.read(key, now))).toBeUndefined()
    })
  })

  describe('in rounds', () => {
    const servers = (count) =>
      Array.from({ length: count }, () => startServer(opened(), { autoSave: true, backendTimeout: patient }))

    test('two requests on two servers that change different keys at the same time both win, 300 times', () =>
      inRequest(async () => {
        const [one, other] = servers(2)
        const wrong = []
        await rounds(300, 25, async (round) => {
          const cookie = await newVisitor(one, { x: 'old', y: 'old' })
          const requests = await Promise.all([begin(one, cookie), begin(other, cookie)])
          requests[0].session.set('x', round)
          requests[1].session.delete('y')
          await Promise.all(requests.map(({ respond }) => respond()))
          const values = await valuesOf(other, cookie)
          if (values.x !== round || 'y' in values) wrong.push({ round, values })
        })
        expect(wrong).toEqual([])
      }))

    test('a log-out on one server wins against a write on another, 300 times', () =>
      inRequest(async () => {
        const [one, other] = servers(2)
        const alive = []
        await rounds(300, 25, async (round) => {
          const cookie = await newVisitor(one, { user: 'ann' })
          const [leaving, slow] = await Promise.all([begin(one, cookie), begin(other, cookie)])
          slow.session.set('round', round)
          await Promise.all([leaving.session.terminate(), round % 2 ? slow.respond() : undefined])
          await Promise.all([leaving.respond(), round % 2 ? undefined : slow.respond()])
          if (Object.keys(await valuesOf(other, cookie)).length > 0) alive.push(round)
        })
        expect(alive).toEqual([])
      }))

    test('of 300 updates of one session by 8 visitors on 3 servers none is lost', () =>
      inRequest(async () => {
        const all = servers(3)
        const cookie = await newVisitor(all[0], { count: 0 })
        let left = 300
        const visitor = async (number) => {
          while (left-- > 0) {
            const { session } = await begin(all[number % 3], cookie)
            await session.update('count', (count) => count + 1)
          }
        }
        await Promise.all(Array.from({ length: 8 }, (_, number) => visitor(number)))
        expect(await valuesOf(all[0], cookie)).toEqual({ count: 300 })
      }))

    test.each([
      ['nothing goes wrong', []],
      ['calls fail, hang, arrive late or twice, and replies are mixed up', faultNames],
    ])('a history of 300 operations keeps every promise while %s', (_, faults) =>
      inRequest(async () => {
        const operations = Number(process.env['HISTORY_OPERATIONS'] ?? 300)
        const report = await runHistory(() => open(), { operations, faults, order: 'real', seed: 1 })
        expect(report.operations).toBeGreaterThanOrEqual(operations)
        expect(report.faults.size > 0).toBe(faults.length > 0)
      }),
    )
  })

  describe('when it fails', () => {
    let own
    beforeAll(async () => {
      own = await startApiServer(sdk)
    })
    afterAll(() => own?.stop())

    async function startOn(port, { timeout = patient, backendTimeout = patient } = {}) {
      const app = await startApp(open({ port, timeout }), { backendTimeout })
      cleanups.push(app.close)
      return app
    }

    const unavailable = { status: 503, setCookies: [], body: 'ERR_BACKEND' }

    test('a server that is down is told at once, and one that comes back empty has forgotten its visitors', async () => {
      const app = await startOn(own.port)
      const visitor = new Browser()
      await visitor.post(app.url('/visit?name=a'))
      await own.kill9()
      for (const path of ['/read', '/visit?name=b', '/rename?name=c', '/logout'])
        expect(await visitor.post(app.url(path))).toMatchObject(unavailable)
      expect(await new Browser().post(app.url('/visit?name=d'))).toMatchObject(unavailable)
      await own.restart()
      expect(await visitor.get(app.url('/read'))).toMatchObject({ status: 200, setCookies: [], body: '[]' })
      expect(await visitor.post(app.url('/visit?name=e'))).toMatchObject({ status: 200, body: '["e"]' })
    })

    test('a server that hangs costs every request its time and no more, and nothing is lost when it wakes', async () => {
      const app = await startOn(own.port, { timeout: 100, backendTimeout: 300 })
      const patientApp = await startOn(own.port)
      const visitor = new Browser()
      await visitor.post(patientApp.url('/visit?name=a'))
      await own.pause()
      cleanups.push(own.resume)
      const paths = ['/read', '/visit?name=b', '/rename?name=c', '/logout']
      const responses = await Promise.all(paths.map((path) => visitor.clone().post(app.url(path))))
      for (const response of responses) expect(response).toMatchObject(unavailable)
      own.resume()
      // What was on its way when the server hung may be done when it wakes: reads only, since each begins with one.
      expect(await visitor.get(patientApp.url('/read'))).toMatchObject({ status: 200, body: '["a"]' })
    })

    test('an update whose answer comes too late is found by its stamp, and done once', async () => {
      const proxy = await startRecordingProxy(own.port)
      cleanups.push(proxy.close)
      const app = await startOn(proxy.port, { timeout: 500 })
      const visitor = new Browser()
      await visitor.post(app.url('/visit?name=a'))
      proxy.hold('Set')
      expect(await visitor.post(app.url('/visit?name=b'))).toMatchObject({ status: 200, body: '["a","b"]' })
      expect(await visitor.get(app.url('/read'))).toMatchObject({ body: '["a","b"]' })
    })

    test('30 requests of one visitor at once are all answered, and all that they were told is there', async () => {
      const apps = await Promise.all([startOn(own.port), startOn(own.port)])
      const visitor = new Browser()
      await visitor.post(apps[0].url('/visit?name=first'))
      const names = Array.from({ length: 30 }, (_, number) => `visit ${number}`)
      const responses = await Promise.all(
        names.map((name, number) => visitor.post(apps[number % 2].url(`/visit?name=${name}`))),
      )
      expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]))
      const { body } = await visitor.get(apps[0].url('/read'))
      expect(JSON.parse(body).toSorted()).toEqual(['first', ...names].toSorted())
    })

    test('a visitor whose session was evicted is anonymous, without an error, and begins anew', async () => {
      const app = await startOn(server.port)
      const visitor = new Browser()
      await visitor.post(app.url('/visit?name=a'))
      await python.call('limit', 1)
      await python.call('set', newKey(), NAMESPACE, '')
      await python.call('limit', 1e12)
      expect(await visitor.get(app.url('/read'))).toMatchObject({ status: 200, setCookies: [], body: '[]' })
      expect(await visitor.post(app.url('/visit?name=b'))).toMatchObject({ status: 200, body: '["b"]' })
    })
  })

  test('a session is shared with the Python library, and ends for both', () =>
    inRequest(async () => {
      const id = randomBytes(16).toString('hex')
      const bytes = pythonRecord({ user: 'anna' }, { className: 'PickleableSession' })
      await python.call('set', id, NAMESPACE, bytes.toString('base64'))

      const world = new World({ backend: opened({ layout: 'plain' }), dialect: vishnuPython(), autoSave: true })
      const visitor = world.visitor()
      visitor.store(`vishnu=${pythonCookie(id)}; Path=/; Secure`)
      await visitor.request((session) => session.update('count', (count = 0) => count + 1))
      const { values } = decodeRecord(Buffer.from(await python.call('get', id, NAMESPACE), 'base64'))
      expect([...values.keys()]).toEqual(['user', 'count'])
      await visitor.request((session) => session.terminate())
      expect(await python.call('get', id, NAMESPACE)).toBe(null)
    }))

  test("what goes over the wire is byte for byte what Google's client in Python sends", async () => {
    const proxy = await startRecordingProxy(server.port)
    cleanups.push(proxy.close)
    const headers = { 'x-appengine-api-ticket': 'the ticket', 'x-google-dappertraceinfo': 'the trace' }
    const client = startPythonClient(sdk, proxy.port, {
      HTTP_X_APPENGINE_API_TICKET: headers['x-appengine-api-ticket'],
      HTTP_X_GOOGLE_DAPPERTRACEINFO: headers['x-google-dappertraceinfo'],
    })
    cleanups.push(client.stop)
    const plain = opened({ port: proxy.port, layout: 'plain', timeout: 60_000 })
    const native = opened({ port: proxy.port, timeout: 60_000 })

    const sent = async (work) => {
      proxy.calls.length = 0
      await work()
      return proxy.calls.map(({ headers: all, body, ...call }) => {
        const ofGoogle = Object.entries(all).filter(([name]) => name === 'content-type' || name.startsWith('x-'))
        return { ...call, headers: Object.fromEntries(ofGoogle), body: body.toString('latin1') }
      })
    }
    const ours = (work) => sent(() => withAppEngineTicket({ headers }, work))
    const theirs = (...call) => sent(() => client.call(...call))

    const [key, value, now] = [newKey(), Buffer.from('a value'), Date.now()]
    const lifetime = 60 + 60 // with the minute that it is kept longer
    const rest = [key, NAMESPACE, value.toString('base64'), lifetime]
    const add = await theirs('add', ...rest)
    expect(await ours(() => plain.create(key, value, now + 60_000, now))).toEqual(add)
    const gets = await theirs('gets', key, NAMESPACE)
    let entry
    expect(await ours(async () => void (entry = await plain.read(key)))).toEqual(gets)
    // Ours comes first and changes the CAS id: theirs, which sends the one that it was told before, is refused.
    const replace = await ours(() => plain.replace(key, entry, value, now + 60_000, now))
    expect(replace).toEqual([...gets, ...(await theirs('cas', ...rest))])
    const remove = await theirs('delete', key, NAMESPACE)
    expect(await ours(() => native.delete(key))).toEqual(remove)

    expect(add).toMatchObject([{ method: 'POST', path: '/rpc_http' }])
    expect(add[0].body).toContain('the ticket')
    expect(add[0].headers).toEqual({
      'content-type': 'application/octet-stream',
      'x-google-dappertraceinfo': 'the trace',
      'x-google-rpc-service-deadline': '60',
      'x-google-rpc-service-endpoint': 'app-engine-apis',
      'x-google-rpc-service-method': '/VMRemoteAPI.CallRemoteAPI',
    })
  })
})
