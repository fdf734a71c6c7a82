import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import { afterEach, describe, expect, inject, test, vi } from 'vitest'
import { appEngineNdb } from '../../src/backends/app-engine-ndb.ts'
import { datastore } from '../../src/backends/datastore.ts'
import { startBlackhole } from '../helpers/blackhole.ts'
import { begin, endingOf, newVisitor, request, startServer, valuesOf } from '../helpers/contract-requests.ts'
import { freePort } from '../helpers/free-port.ts'
import { startTcpProxy } from '../helpers/tcp-proxy.ts'
import { emulatorNames, startEmulator } from './helpers/emulators.mjs'
import { startNetwork } from './helpers/network.mjs'
import { newNamespace, rawEntities } from './helpers/raw-entities.mjs'

const KIND = 'VishnuNativeSession'

const closers = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

function open(host, { namespace = newNamespace(), timeout = 1000 } = {}) {
  const backend = datastore({ projectId: 'test', namespace, apiEndpoint: host, timeout })
  closers.push(() => backend.close())
  return backend
}

/** A server of an application, and the events that it has reported. */
function serverOn(backend, options = {}) {
  const events = []
  const onEvent = ({ type }) => events.push(type)
  return { sessions: startServer(backend, { autoSave: true, onEvent, ...options }), events }
}

/** One that waits for as long as it takes, to make sessions and to look at them on a busy machine. */
function patientServer(host, namespace) {
  return serverOn(open(host, { namespace, timeout: 20_000 }), { backendTimeout: 20_000 }).sessions
}

/** What a visitor gets while there is an outage: an error, and neither a new session nor a cleared cookie. */
async function expectOutage(sessions, cookie) {
  const visit = sessions.open(cookie)
  expect(await endingOf(() => visit.session())).toBe('ERR_BACKEND')
  const { append } = await sessions.commit(visit, () => undefined)
  expect(append.filter(([name]) => name === 'set-cookie')).toEqual([])
}

describe.skipIf(inject('sdk').missing)('with datastore(),', () => {
  const [name] = emulatorNames
  const host = () => inject('hosts')[name]

  /** Google's client, but for how keys are looked up. */
  function clientWith(lookup) {
    const { client, close } = rawEntities(host(), KIND)
    closers.push(close)
    return Object.assign(Object.create(client), { lookup: (...args) => lookup(client, ...args) })
  }

  test('a busy server that puts off keys is asked for them again, so that a clean-up goes on', async () => {
    let deferred = 0
    const client = clientWith(async (real, asked, options) => {
      const [first, ...others] = asked.keys
      if (others.length === 0) return real.lookup(asked, options)
      deferred++
      const [response] = await real.lookup({ ...asked, keys: others }, options)
      return [{ ...response, deferred: [first] }]
    })
    const backend = datastore({ projectId: 'test', namespace: newNamespace(), client })
    const now = Date.now()
    for (const letter of 'abcd') await backend.create(letter.repeat(43), Buffer.from('record'), now + 1000, now)
    const expiry = { now: now + 2000, dormantBefore: 0 }
    expect(await backend.sweep(expiry, 100)).toEqual({ deleted: 4, done: true })
    expect(deferred).toBeGreaterThan(0)
  })

  test.each([
    ['one that may pass', 10],
    ["one that won't", 3],
  ])('an error that quotes a key does not leave, %s', async (_, code) => {
    const client = clientWith(async (_real, { keys }) => {
      const [{ name: id }] = keys[0].path
      throw Object.assign(new Error(`too much contention on entity (VishnuSession, "${id}")`), { code })
    })
    const backend = appEngineNdb({ projectId: 'test', namespace: newNamespace(), client })
    const id = '0123456789abcdef0123456789abcdef'
    const error = await backend.read(id, Date.now()).catch((reason) => reason)
    expect(inspect(error, { depth: 5 })).toContain('too much contention on entity (VishnuSession, "<key>")')
    expect(inspect(error, { depth: 5 })).not.toContain(id)
  })

  test('a server that is down is an outage, told at once, and not a visitor without a session', async () => {
    const network = await startNetwork(host())
    closers.push(network.close)
    const namespace = newNamespace()
    const cookie = await newVisitor(patientServer(host(), namespace), { user: 'anna' })
    const { sessions, events } = serverOn(open(network.host, { namespace, timeout: 5000 }), { backendTimeout: 5000 })
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'anna' })
    await network.cut()
    await expectOutage(sessions, cookie)
    expect(events).toContain('backendError')
    await network.restore(Number(network.host.split(':')[1]))
    await vi.waitFor(async () => expect(await valuesOf(sessions, cookie)).toEqual({ user: 'anna' }), 10_000)
  })

  test("a server that was never there is an outage, and no call waits for it as Google's client would", async () => {
    const backend = open(`127.0.0.1:${await freePort()}`, { timeout: 30_000 })
    // 14: UNAVAILABLE.
    await expect(backend.read('key', 0)).rejects.toMatchObject({ code: 14 })
    const { sessions } = serverOn(backend)
    expect(await endingOf(() => newVisitor(sessions, { user: 'anna' }))).toBe('ERR_BACKEND')
  })

  test('a server that accepts and never answers fails each call at its timeout', async () => {
    const blackhole = await startBlackhole()
    closers.push(blackhole.close)
    const backend = open(`127.0.0.1:${blackhole.port}`, { timeout: 100 })
    const calls = [
      () => backend.read('key', 0),
      () => backend.create('key', Buffer.from('value'), 2, 1),
      () => backend.delete('key'),
      () => backend.sweep({ now: 1, dormantBefore: 0 }, 10),
    ]
    // 4: DEADLINE_EXCEEDED.
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 4 })
    const cookie = await newVisitor(patientServer(host()), { user: 'anna' })
    await expectOutage(serverOn(backend, { backendTimeout: 300 }).sessions, cookie)
  })

  test('a connection that the network has dropped in silence is given up, and the next one serves', async () => {
    const network = await startNetwork(host())
    closers.push(network.close)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    closers.push(() => vi.useRealTimers())
    const backend = open(network.host)
    expect(await backend.read('key', 0)).toBe(undefined)
    // Idle for a while. Nobody has pinged meanwhile.
    vi.advanceTimersByTime(60_000)
    network.drop()
    const lost = endingOf(() => backend.read('key', 0))
    // The call is on its way: its ping too.
    await new Promise((resolve) => setImmediate(resolve))
    vi.advanceTimersByTime(1001)
    expect(await lost).toBeTypeOf('number')
    vi.useRealTimers()
    expect(await backend.read('key', 0)).toBe(undefined)
  })

  test('a frozen server is an outage, and when it goes on all is as it was', async () => {
    const emulator = await startEmulator(name, inject('sdk'))
    closers.push(emulator.stop)
    const namespace = newNamespace()
    const patient = patientServer(emulator.host, namespace)
    const cookie = await newVisitor(patient, { user: 'anna' })
    const { sessions } = serverOn(open(emulator.host, { namespace, timeout: 300 }), { backendTimeout: 900 })
    emulator.pause()
    await expectOutage(sessions, cookie)
    emulator.resume()
    expect(await valuesOf(patient, cookie)).toEqual({ user: 'anna' })
  })

  test('a slow server is waited for, within the time that there is', async () => {
    const proxy = await startTcpProxy(Number(host().split(':')[1]))
    closers.push(proxy.close)
    proxy.hold()
    const { sessions } = serverOn(open(`127.0.0.1:${proxy.port}`, { timeout: 20_000 }), { backendTimeout: 20_000 })
    const visitor = newVisitor(sessions, { user: 'anna' })
    proxy.release()
    expect(await valuesOf(sessions, await visitor)).toEqual({ user: 'anna' })
  })

  test.each(['request', 'reply'])('of a new session and of a change whose %s is lost nothing is lost', async (part) => {
    const proxy = await startTcpProxy(Number(host().split(':')[1]))
    closers.push(proxy.close)
    const backend = open(`127.0.0.1:${proxy.port}`)
    const { sessions } = serverOn(backend, { backendTimeout: 20_000 })
    // Connects, so that what is cut off is the write.
    await backend.read('key', 0)
    const created = proxy.lose(part, /vishnu1/)
    const cookie = await newVisitor(sessions, { user: 'anna' })
    await created
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'anna' })

    const changed = proxy.lose(part, /vishnu1.*otto/s)
    await request(sessions, cookie, (session) => session.set('user', 'otto'))
    await changed
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'otto' })
  })

  // The one lets the first who commits win; the other waits for the lock, longer than a visitor would.
  test.each([
    { emulator: emulatorNames[0], expected: 'done', afterwards: ['otto'] },
    { emulator: emulatorNames[1], expected: 'ERR_BACKEND', afterwards: ['anna', 'otto'] },
  ])(
    'a change of a session that another client holds in a transaction ends in time with $expected on $emulator',
    async ({ emulator, expected, afterwards }) => {
      const namespace = newNamespace()
      const address = inject('hosts')[emulator]
      const patient = patientServer(address, namespace)
      const cookie = await newVisitor(patient, { user: 'anna' })
      const raw = rawEntities(address, KIND, namespace)
      closers.push(raw.close)
      const [entity] = await raw.names()
      const { sessions } = serverOn(open(address, { namespace }), { backendTimeout: 3000 })
      const { session, respond } = await begin(sessions, cookie)
      const release = await raw.hold(entity)
      session.set('user', 'otto')
      expect(await endingOf(respond)).toBe(expected)
      await release()
      // What was refused may have been written when the lock was gone: in doubt is not lost.
      expect(afterwards).toContain((await valuesOf(patient, cookie)).user)
    },
  )
})
