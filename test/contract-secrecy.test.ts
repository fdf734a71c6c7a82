import { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { appEngineMemcache } from '../src/backends/app-engine-memcache.js'
import { d1 } from '../src/backends/d1.js'
import { datastore } from '../src/backends/datastore.js'
import { durableObject } from '../src/backends/durable-object.js'
import { memcacheClient } from '../src/backends/memcache-client.js'
import { memcached, type MemcachedAddress } from '../src/backends/memcached.js'
import { memory } from '../src/backends/memory.js'
import { redis } from '../src/backends/redis.js'
import { sqlite } from '../src/backends/sqlite.js'
import { vishnuPython } from '../src/dialects/vishnu-python.js'
import {
  type AcceptOptions,
  type Backend,
  createSessions,
  type PlainBackend,
  SessionError,
  type SessionsOptions,
} from '../src/index.js'
import { manualClock } from './helpers/clock.js'
import { recordingBackend, wrapBackend } from './helpers/contract-backends.js'
import { plainMemory } from './helpers/contract-plain.js'
import { Leaks } from './helpers/contract-canaries.js'
import { faultyBackend } from './helpers/contract-faults.js'
import { begin, newVisitor, request } from './helpers/contract-requests.js'
import { seededRandom } from './helpers/random.js'
import { startRedis } from './helpers/redis-server.js'

// Secrets, cookies, ids, store keys and values are canaries here: none may come out in an event, an error or a dump.

const secret = 'CANARY-SECRET, which nobody may ever read'
const encryptKey = 'CANARY-ENCRYPT-KEY, which nobody may read'
const value = 'CANARY-VALUE'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** What must not come out, of a visitor whose cookie is signed and can thus be read. */
function canariesOf(cookie: string, keys: readonly string[] = []): Record<string, string> {
  const sealed = cookie.slice('vishnu='.length)
  const id = Buffer.from(sealed.slice(1, 33), 'base64url').subarray(0, 18)
  return {
    secret: 'CANARY-SECRET',
    encryptKey: 'CANARY-ENCRYPT',
    value,
    cookie: sealed,
    'its MAC': sealed.slice(33),
    id: id.toString('base64url'),
    'id in hex': id.toString('hex'),
    ...Object.fromEntries(keys.map((key, index) => [`store key ${index}`, key])),
  }
}

function serverWith(backend: Backend | PlainBackend, leaks: Leaks, options: Partial<SessionsOptions> = {}) {
  return createSessions({
    secret,
    backend,
    random: seededRandom('canaries'),
    onEvent: leaks.hear,
    backendTimeout: 100,
    ...options,
  })
}

test('no event and no error of the core tells a secret, a cookie, an id, a store key or a value', async () => {
  const leaks = new Leaks()
  const { backend: recorded, calls } = recordingBackend(memory())
  const store = faultyBackend(recorded)
  const sessions = serverWith(store, leaks, { autoSave: true })
  const manual = serverWith(store, leaks, { random: seededRandom('more canaries') })
  const cookie = await newVisitor(sessions, { user: value, list: [value] })
  const other = await newVisitor(manual, { user: value })

  // gone, conflict, rejectedCookie, duplicateCookie, unsaved, insecure
  const slow = await begin(sessions, cookie)
  await request(manual, `vishnu=junk; ${cookie}; ${other}`, (session) => session.update('user', () => value))
  slow.session.set('user', value)
  await slow.respond()
  await request(manual, cookie, (session) => session.set('user', value))
  const leaving = await begin(sessions, cookie)
  const late = await begin(sessions, cookie)
  await request(sessions, cookie, (session) => session.terminate())
  leaving.session.set('user', value)
  await leaving.respond()
  late.session.set('user', value)
  await leaks.fail(() => late.session.save())
  await leaks.fail(() => late.session.update('user', () => value))
  await leaks.fail(() => leaving.session.set('user', value))
  const visit = sessions.open(undefined, { isPlainHttp: () => true })
  ;(await visit.session()).set('user', value)
  await sessions.commit(visit, (name) => (name === 'cache-control' ? 'public' : undefined))

  // Values that can not be stored, with one that must not be told beside them.
  const { session } = await begin(sessions, other)
  class Account {
    password = value
  }
  const odd = JSON.parse(`{ "__proto__": 1, "password": "${value}" }`) as Record<string, unknown>
  const cyclic: Record<string, unknown> = { value, when: new Date(), odd }
  cyclic['self'] = cyclic
  for (const bad of [
    new Account(),
    { value, bad: () => value },
    { ...cyclic },
    Symbol(value),
    [value, new WeakMap()],
  ]) {
    await leaks.fail(() => session.set('profile', bad))
  }
  await leaks.fail(() => session.update('user', async () => value))
  await leaks.fail(() => session.set(1 as unknown as string, value))
  await leaks.fail(() => (session.timeout = -1))

  // backendError
  store.breakDown('read', "is answered with another key's entry")
  await leaks.fail(() => begin(sessions, other))
  store.breakDown('read', 'hangs')
  await leaks.fail(() => begin(sessions, other))
  store.heal()
  store.breakDown('replace', 'fails before it is applied')
  await leaks.fail(() => session.terminate())
  store.heal()
  const small = serverWith(
    wrapBackend(memory(), ({ run }) => run(), 10),
    leaks,
  )
  await leaks.fail(() => newVisitor(small, { user: value }))
  const full = serverWith(memory({ maxEntries: 1 }), leaks)
  await newVisitor(full, { user: value })
  await leaks.fail(() => newVisitor(full, { user: value }))
  await leaks.fail(() => sessions.get({}))
  await leaks.fail(() => sessions.current())

  const keys = [...new Set(calls.map(({ key }) => key))]
  expect([...leaks.of(canariesOf(cookie, keys)), ...leaks.of(canariesOf(other))]).toEqual([])
  expect(leaks.seen).toEqual({
    events: ['backendError', 'conflict', 'duplicateCookie', 'gone', 'insecure', 'rejectedCookie', 'unsaved'],
    codes: [
      'ERR_BACKEND',
      'ERR_BACKEND_FULL',
      'ERR_COMMITTED',
      'ERR_KEY',
      'ERR_NO_MIDDLEWARE',
      'ERR_NO_REQUEST',
      'ERR_SESSION_GONE',
      'ERR_TIMEOUT',
      'ERR_TOO_LARGE',
      'ERR_VALUE',
    ],
  })
})

test('what a client attaches to its errors is not told', async () => {
  const leaks = new Leaks()
  class ClientError extends AggregateError {
    override name = 'ClientError'
    code = 'ECONNRESET'
    command = { name: 'set', args: [value, Buffer.from(value)] }
    rawPacket = Buffer.from(`${'.'.repeat(100)}${value}`)
    buffer = JSON.stringify(this.rawPacket)
    lastNodeError = new Error(value)
    replies = new Map([[value, value]])
    override toString = () => value
    toJSON = () => value
  }
  const inner = new ClientError([new Error('refused by ::1'), value], 'inner')
  const outer = new ClientError([], 'outer', { cause: inner })
  inner.cause = outer
  const cookie = await newVisitor(serverWith(memory(), leaks), { user: value })
  for (const thrown of [outer, new SessionError('ERR_BACKEND', 'It will not', { cause: outer })]) {
    const sessions = serverWith(
      wrapBackend(memory(), () => Promise.reject(thrown)),
      leaks,
    )
    await leaks.fail(() => begin(sessions, cookie))
    await leaks.fail(() => newVisitor(sessions, { user: value }))
  }
  expect(leaks.of({ value })).toEqual([])
  expect(leaks.seen).toEqual({ events: ['backendError'], codes: ['ERR_BACKEND'] })

  // What helps is.
  const sessions = serverWith(
    wrapBackend(memory(), () => Promise.reject(outer)),
    leaks,
  )
  await expect(begin(sessions, cookie)).rejects.toMatchObject({
    message: 'The session backend failed: outer',
    cause: {
      name: 'ClientError',
      message: 'outer',
      code: 'ECONNRESET',
      cause: { message: 'inner', errors: [{ message: 'refused by ::1' }, undefined] },
    },
  })
})

test.each([
  ['our own', memory, {}],
  ["Python's", plainMemory, { dialect: vishnuPython() }],
])('names in a value that may be data are not told when %s records can not keep it', async (_, store, options) => {
  const leaks = new Leaks()
  const { session } = await begin(serverWith(store(), leaks, options))
  const names = [
    'jane@CANARY-VALUE.example',
    'CANARY-VALUE',
    'c0ffee-CANARY-VALUE',
    `long ${'CANARY-VALUE'.repeat(10)}`,
  ]
  for (const name of names) {
    for (const bad of [() => value, new WeakMap(), undefined]) {
      const profile = { items: [{ [name]: bad, odd: () => 1 }] }
      await leaks.fail(() => session.set('profile', profile))
      await leaks.fail(() => session.update('profile', () => profile))
      await leaks.fail(() => session.set('profile', new Map([[name, profile]])))
    }
  }
  expect(leaks.of({ value })).toEqual([])
  expect(leaks.seen.codes).toEqual(['ERR_VALUE'])
  expect(() => session.set('profile', { items: [{ 'unit price': () => 1 }] })).toThrow(
    /at \["items"\]\[0\]\["unit price"\]/,
  )
})

test('a value that can not be carried over is not told', async () => {
  const leaks = new Leaks()
  const theirs = plainMemory()
  const dialect = vishnuPython()
  // JSON could keep the name, but not the date beside it.
  const odd = JSON.parse(`{ "jane@CANARY-VALUE.example": { "__proto__": "${value}", "more": "${value}" } }`) as object
  const values = { profile: { ...odd, when: new Date(0) }, user: value }
  const cookie = await newVisitor(serverWith(theirs, leaks, { dialect }), values)
  const sessions = serverWith(memory(), leaks, { accept: [{ dialect, backend: theirs }] })
  const { session } = await begin(sessions, cookie)
  expect(session.keys()).toEqual(['user'])
  expect(leaks.of(canariesOf(cookie))).toEqual([])
  expect(leaks.seen.events).toEqual(['unsaved'])
})

test.each(['JSON', 'rich'])('a damaged %s value is not quoted in the error that says so', async (kind) => {
  const { now } = manualClock()
  const leaks = new Leaks()
  const { backend, calls } = recordingBackend(memory())
  const sessions = serverWith(backend, leaks, { clock: now })
  const cookie = await newVisitor(sessions, { user: kind === 'JSON' ? value : { value, when: new Date(0) } })
  const key = calls[0]!.key
  const entry = (await backend.read(key, now()))!
  const text = Buffer.from(entry.value).toString()
  for (const damaged of [text.replace(/\S\n$/, 'X\n'), text.replace('\t"', '\tX').replace('\t~[', '\t~X')]) {
    expect(damaged).not.toBe(text)
    await backend.delete(key)
    await backend.create(key, Buffer.from(damaged), entry.deadline!, now())
    const { session } = await begin(sessions, cookie)
    await leaks.fail(() => session.get('user'))
    await leaks.fail(() => session.entries())
    await leaks.fail(() => session.update('user', (user) => user))
  }
  // A record that is cut short is an event, and so is one whose header runs on into the values.
  for (const damaged of [text.slice(0, -3), text.replace('\n', 'X')]) {
    await backend.delete(key)
    await backend.create(key, Buffer.from(damaged), entry.deadline!, now())
    await begin(sessions, cookie)
  }
  expect(leaks.of(canariesOf(cookie, [key]))).toEqual([])
  expect(leaks.seen).toEqual({ events: ['corrupt'], codes: ['ERR_RECORD'] })
})

test('a wrong configuration is explained without quoting secrets', async () => {
  const leaks = new Leaks()
  const backend = memory()
  const create = (options: object) => leaks.fail(() => createSessions({ secret, backend, ...options }))
  await create({ secret: 'CANARY-SECRET' })
  await create({ secret: [secret, 'CANARY-SECRET', 1] })
  await create({ secret: { secret } })
  await create({ encryptKey: 'CANARY-ENCRYPT' })
  await create({ secret, encrypt_key: encryptKey })
  await leaks.fail(() => redis({ url: `CANARY-SECRET://:CANARY-SECRET@host` }))
  await leaks.fail(() => redis({ url: 'redis://:CANARY-SECRET@host:port/0' }))
  await leaks.fail(() => redis({ url: 'redis://:CANARY-SECRET%E0%A4%A@host/0' }))
  await leaks.fail(() => redis({ password: 'CANARY-SECRET', port: 0 }))
  expect(leaks.of({ secret: 'CANARY-SECRET', encryptKey: 'CANARY-ENCRYPT' })).toEqual([])
})

/** What has options, the options that it has, and those that it needs. */
const factories: Record<string, [make: (options: never) => unknown, options: string, needed?: object]> = {
  createSessions: [
    createSessions,
    'secret encryptKey cookieName domain path secure httpOnly sameSite partitioned priority clock onEvent autoSave timeout ' +
      'absoluteTimeout browserSessionTimeout touchInterval backendTimeout backend accept',
    { secret, backend: memory() },
  ],
  'the accept option': [
    (item: object) => createSessions({ secret, backend: memory(), accept: [item as AcceptOptions] }),
    'secret encryptKey cookieName backend dialect',
    { backend: memory() },
  ],
  redis: [redis, 'host port db username password tls url client prefix waitForReplicas layout'],
  memcached: [memcached, 'host port servers tls username password prefix timeout maxItemBytes layout'],
  'a server of memcached': [(server: MemcachedAddress) => memcached({ servers: [server] }), 'host port', { host: 'x' }],
  'tls of memcached': [(tls: object) => memcached({ tls }), 'ca cert key passphrase pfx ciphers minVersion'],
  memcacheClient: [memcacheClient, 'host port servers tls prefix timeout maxItemBytes'],
  sqlite: [sqlite, 'database table synchronous'],
  d1: [d1, 'database table'],
  durableObject: [durableObject, 'namespace'],
  datastore: [
    datastore,
    'projectId namespace databaseId credentials keyFilename apiEndpoint timeout client kind',
    { timeout: 0 },
  ],
  appEngineMemcache: [appEngineMemcache, 'namespace host port timeout layout'],
  memory: [memory, 'maxEntries'],
  vishnuPython: [vishnuPython, 'sessionClass format'],
}

/** A secret where it does not belong, or in a form that it should not have. */
const misplaced: readonly unknown[] = [
  'CANARY-SECRET',
  'redis://:CANARY-SECRET@host:6379/0',
  'CANARY-SECRET\ud800',
  ['CANARY-SECRET'],
  [['CANARY-SECRET', ['CANARY-SECRET']]],
  { value: 'CANARY-SECRET', toString: () => 'CANARY-SECRET' },
  Buffer.from('CANARY-SECRET'),
  Symbol('CANARY-SECRET'),
  new Map([['CANARY-SECRET', 'CANARY-SECRET']]),
  new URL('redis://:CANARY-SECRET@host:6379/0'),
  new Error('CANARY-SECRET'),
  () => 'CANARY-SECRET',
]

test.each(Object.entries(factories))('%s explains wrong options without quoting a secret', async (_, factory) => {
  const [make, options, needed = {}] = factory
  const leaks = new Leaks()
  for (const option of options.split(' ')) {
    for (const bad of misplaced) await leaks.try(() => make({ ...needed, [option]: bad } as never))
  }
  // In the place of all options, too. What has nothing to list would count as none.
  for (const bad of misplaced.filter((one) => typeof one === 'string' || Array.isArray(one))) {
    await leaks.try(() => make(bad as never))
  }
  expect(leaks.of({ secret: 'CANARY-SECRET' })).toEqual([])
  expect(leaks.seen.codes).toContain('ERR_CONFIG')
})

test('looking at the objects shows nothing', async () => {
  const leaks = new Leaks()
  const { backend, calls } = recordingBackend(memory())
  const sessions = serverWith(backend, leaks)
  const cookie = await newVisitor(sessions, { user: value })
  const visit = sessions.open(cookie)
  const session = await visit.session()
  session.get('user')
  session.set('more', value)
  leaks.look(sessions, visit, session, memory(), { sessions, visit, session }, [session], session.publicId)
  await request(serverWith(backend, leaks, { autoSave: true, encryptKey }), cookie, (visitor) => {
    leaks.look(visitor)
    visitor.regenerate()
  })
  expect(leaks.of(canariesOf(cookie, [calls[0]!.key]))).toEqual([])
})

test('warnings, which nobody asked for, tell nothing either', async () => {
  const leaks = new Leaks()
  const warnings: Error[] = []
  const listen = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', listen)
  cleanups.push(() => process.off('warning', listen))
  const { backend, calls } = recordingBackend(memory())
  const sessions = createSessions({ secret, backend, random: seededRandom('canaries') })
  const cookie = await newVisitor(sessions, { user: value })
  await request(sessions, cookie, (session) => session.set('user', value))
  const { key } = calls[0]!
  await backend.delete(key)
  await backend.create(key, Buffer.from(`"user"\t"${value}"\n`), Date.now() + 60_000, Date.now())
  await begin(sessions, cookie)
  const visit = sessions.open(undefined, { isPlainHttp: () => true })
  await (await visit.session()).update('user', () => value)
  await sessions.commit(visit, () => undefined)
  // Node emits them a little later.
  await new Promise((resolve) => setImmediate(resolve))
  const ours = warnings.filter(({ name }) => name === 'SessionWarning')
  expect(ours.map((warning) => `${(warning as { code?: string }).code}`).toSorted()).toEqual([
    'VISHNU_CORRUPT',
    'VISHNU_INSECURE',
    'VISHNU_UNSAVED',
  ])
  leaks.look(...ours)
  expect(leaks.of(canariesOf(cookie, [key]))).toEqual([])
})

test('a dump of a backend opens no session: nothing that any backend is given holds a cookie, an id or a secret', async () => {
  const given: string[] = []
  const watched = wrapBackend(memory(), ({ key, value: bytes = new Uint8Array(), run }) => {
    given.push(key, Buffer.from(bytes).toString('latin1'))
    return run()
  })
  const sessions = serverWith(watched, new Leaks(), { autoSave: true })
  const cookie = await newVisitor(sessions, { user: value })
  await request(sessions, cookie, (session) => session.update('user', () => value))
  const entered = await request(sessions, cookie, (session) => session.regenerate())
  await request(sessions, entered.cookie, (session) => session.terminate())

  const dump = given.join()
  expect(dump).toContain(value)
  for (const { value: _, ...bearers } of [cookie, entered.cookie ?? ''].map((text) => canariesOf(text))) {
    expect(Object.entries(bearers).filter(([, canary]) => dump.includes(canary))).toEqual([])
  }
})

const clients = {
  'its own connection': (port: number) => redis({ host: '127.0.0.1', port }),
  ioredis: (port: number) => {
    const client = new Redis({ host: '127.0.0.1', port, maxRetriesPerRequest: 0, retryStrategy: () => 50 })
    client.on('error', () => undefined)
    cleanups.push(() => client.disconnect())
    return redis({ client })
  },
}

test.each(Object.entries(clients))(
  'with %s, a Redis whose commands were disabled is quoted without their arguments',
  async (_, open) => {
    for (const command of ['GET', 'EVALSHA']) {
      const leaks = new Leaks()
      const server = await startRedis({ args: ['--rename-command', command, ''] })
      cleanups.push(server.stop)
      const { backend, calls } = recordingBackend(open(server.port))
      cleanups.push(() => backend.close?.())
      const sessions = serverWith(backend, leaks, { backendTimeout: 500 })
      await leaks.fail(async () => begin(sessions, await newVisitor(sessions, { user: value })))
      expect(leaks.of({ value, key: calls[0]!.key })).toEqual([])
      expect(leaks.seen).toEqual({ events: ['backendError'], codes: ['ERR_BACKEND'] })
    }
  },
)

test.each(Object.entries(clients))(
  'with %s, neither Redis nor its errors show what opens a session',
  async (_, open) => {
    const leaks = new Leaks()
    const server = await startRedis()
    cleanups.push(server.stop)
    const backend = open(server.port)
    cleanups.push(() => backend.close?.())
    const sessions = serverWith(backend, leaks, { backendTimeout: 500 })
    const cookie = await newVisitor(sessions, { user: value })
    const { value: valueCanary, ...bearer } = canariesOf(cookie)

    // Whoever can read the store can read values, and nothing that makes a cookie.
    const [key = ''] = (await server.command('KEYS', '*')).split('\n')
    const atRest = `${key} ${await server.command('GET', key)}`
    expect(atRest).toContain(valueCanary)
    expect(Object.entries(bearer).filter(([, canary]) => atRest.includes(canary))).toEqual([])

    await server.command('CONFIG', 'SET', 'maxmemory', '1')
    const { session } = await begin(sessions, cookie)
    await leaks.fail(() => session.update('user', () => value))
    await leaks.fail(() => newVisitor(sessions, { user: value }))
    await server.command('CONFIG', 'SET', 'maxmemory', '0')
    await server.command('SET', key, value)
    await begin(sessions, cookie)
    await server.command('DEL', key)
    await server.command('LPUSH', key, value)
    await leaks.fail(() => begin(sessions, cookie))
    await server.kill9()
    await leaks.fail(() => session.update('user', () => value))
    await leaks.fail(() => session.terminate())
    await leaks.fail(() => begin(sessions, cookie))
    expect(leaks.of({ ...bearer, value, key: key.slice('vishnu:'.length) })).toEqual([])
    expect(leaks.seen).toEqual({ events: ['backendError', 'corrupt'], codes: ['ERR_BACKEND'] })
  },
)
