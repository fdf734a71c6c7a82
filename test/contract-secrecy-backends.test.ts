import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { createClient } from '@redis/client'
import { Redis } from 'ioredis'
import { Redis as Valkey } from 'iovalkey'
import Database from 'libsql'
import { afterEach, describe, expect, test } from 'vitest'
import { socketSession } from '../src/adapters/websocket.js'
import { appEngineMemcache, withAppEngineTicket } from '../src/backends/app-engine-memcache.js'
import { memcacheClient } from '../src/backends/memcache-client.js'
import { memcached } from '../src/backends/memcached.js'
import { memory } from '../src/backends/memory.js'
import { type PlainRedisOptions, redis, type RedisOptions } from '../src/backends/redis.js'
import { sqlite, type SqliteDatabase } from '../src/backends/sqlite.js'
import { vishnuPython } from '../src/dialects/vishnu-python.js'
import { type Backend, createSessions, type PlainBackend, type Sessions } from '../src/index.js'
import { plainMemory } from './helpers/contract-plain.js'
import { Leaks } from './helpers/contract-canaries.js'
import { begin, newVisitor } from './helpers/contract-requests.js'
import { startMemcached } from './helpers/memcached-server.js'
import { seededRandom } from './helpers/random.js'
import { startRedis } from './helpers/redis-server.js'

// What servers and their clients say of a failure, on the real ones: no store key, value or password may be in it. In plain
// layouts, shared with Python, the store key is the session's id.

const value = 'CANARY-VALUE'
const password = 'CANARY-PASSWORD'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

type AnyBackend = Backend | PlainBackend

function serverOn(backend: AnyBackend, leaks: Leaks): Sessions {
  cleanups.push(() => backend.close?.())
  return createSessions({
    secret: 'known to every server of these tests',
    backend,
    random: seededRandom('canaries'),
    onEvent: leaks.hear,
    backendTimeout: 300,
    ...(backend.layout === 'plain' && { dialect: vishnuPython() }),
  })
}

/** A visitor of another server, whose store is well, and the key that the session has in every store. */
async function visitorOf(layout: AnyBackend['layout']): Promise<{ cookie: string; key: string }> {
  const keys: string[] = []
  const store: AnyBackend = layout === 'plain' ? plainMemory() : memory()
  const create = store.create.bind(store)
  store.create = (key: string, ...rest) => {
    keys.push(key)
    return create(key, ...rest)
  }
  const cookie = await newVisitor(serverOn(store, new Leaks()), { user: value })
  return { cookie, key: keys[0]! }
}

/** Reads a session and creates one; both are expected to fail. What of it is told? */
async function leaksOf(backend: AnyBackend): Promise<ReturnType<Leaks['of']>> {
  const leaks = new Leaks()
  const sessions = serverOn(backend, leaks)
  const { cookie, key } = await visitorOf(backend.layout)
  await leaks.fail(() => begin(sessions, cookie))
  await leaks.fail(() => newVisitor(sessions, { user: value }))
  expect(leaks.seen.codes).toEqual(['ERR_BACKEND'])
  return leaks.of({ value, password, key })
}

/** Answers like a server of another kind, or one whose replies have got mixed up: with another visitor's value, say. */
async function startImpostor(answer: (request: string) => string): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (piece) => socket.write(answer(piece.toString('latin1'))))
    cleanups.push(() => socket.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => server.close())
  return (server.address() as AddressInfo).port
}

type RedisBackendOptions = Pick<RedisOptions, 'waitForReplicas'> & Partial<Pick<PlainRedisOptions, 'layout'>>

const host = '127.0.0.1'
const redisClients: Record<string, (port: number, options: RedisBackendOptions, credentials?: object) => AnyBackend> = {
  'a connection of its own': (port, options, credentials) => redisBackend({ host, port, ...credentials, ...options }),
  '@redis/client': (port, options, credentials) => {
    const client = createClient({ socket: { host, port }, ...credentials })
    client.on('error', () => undefined)
    client.connect().catch(() => undefined)
    cleanups.push(() => client.destroy())
    return redisBackend({ client, ...options })
  },
  ioredis: (port, options, credentials) => ofIoredis(new Redis({ ...patience, host, port, ...credentials }), options),
  iovalkey: (port, options, credentials) => ofIoredis(new Valkey({ ...patience, host, port, ...credentials }), options),
}
const patience = { maxRetriesPerRequest: 0, retryStrategy: () => 20 }

function ofIoredis(client: Redis | Valkey, options: RedisBackendOptions): AnyBackend {
  client.on('error', () => undefined)
  cleanups.push(() => client.disconnect())
  return redisBackend({ client, ...options })
}

function redisBackend(options: RedisOptions & { layout?: 'plain' }): AnyBackend {
  return redis(options as PlainRedisOptions)
}

describe.each(Object.entries(redisClients))('Redis, with %s', (_, open) => {
  test.each<[RedisBackendOptions]>([
    [{ layout: 'plain' }],
    [{ layout: 'plain', waitForReplicas: 1 }],
    [{ waitForReplicas: 1 }],
  ])('does not tell the arguments of a disabled command: %j', async (options) => {
    const server = await startRedis({ args: ['--rename-command', 'EVALSHA', '', '--rename-command', 'GET', ''] })
    cleanups.push(server.stop)
    expect(await leaksOf(open(server.port, options))).toEqual([])
  })

  test('does not tell the key that a user may not touch', async () => {
    const server = await startRedis()
    cleanups.push(server.stop)
    await server.command('ACL', 'SETUSER', 'default', 'resetkeys', '~nothing')
    expect(await leaksOf(open(server.port, { layout: 'plain' }))).toEqual([])
  })

  test('does not tell a reply that it can not make sense of', async () => {
    const replies = [`${value}\r\n`, `$5\r\n${value}\r\n`, `*1\r\n$12\r\n${value}\r\n`]
    for (const reply of replies) {
      const port = await startImpostor((request) => {
        if (/^\$(3\r\nget|4\r\neval|7\r\nevalsha)\r\n/im.test(request)) return reply
        if (/^info\r\n/im.test(request)) return '$0\r\n\r\n'
        return '+OK\r\n'.repeat(request.match(/^\*/gm)?.length ?? 1)
      })
      const leaks = new Leaks()
      const sessions = serverOn(open(port, {}), leaks)
      const { cookie } = await visitorOf(undefined)
      await leaks.fail(() => newVisitor(sessions, { user: 'nobody' }))
      // Some of it is a reply, though not one of ours: then it is a record of nobody's.
      await leaks.try(() => begin(sessions, cookie))
      expect(leaks.of({ value })).toEqual([])
    }
  })

  test.each([{ password }, { username: 'somebody', password }])('does not tell a password: %j', async (credentials) => {
    const server = await startRedis()
    const strange = await startRedis({ args: ['--rename-command', 'AUTH', '', '--rename-command', 'HELLO', ''] })
    cleanups.push(server.stop, strange.stop)
    await server.command('CONFIG', 'SET', 'requirepass', 'another one')
    expect(await leaksOf(open(server.port, {}, credentials))).toEqual([])
    // Some clients go on where the command for passwords was disabled.
    const leaks = new Leaks()
    await leaks.try(() => newVisitor(serverOn(open(strange.port, {}, credentials), leaks), { user: value }))
    expect(leaks.of({ password })).toEqual([])
  })
})

test('Redis by a URL does not tell the password in it, whatever fails', async () => {
  const server = await startRedis()
  cleanups.push(server.stop)
  await server.command('CONFIG', 'SET', 'requirepass', 'another one')
  const leaks = new Leaks()
  expect(await leaksOf(redis({ url: `redis://:${password}@127.0.0.1:${server.port}` }))).toEqual([])
  expect(await leaksOf(redis({ url: `redis://:${password}@127.0.0.1:1` }))).toEqual([])
  expect(await leaksOf(redis({ url: `redis://:${password}@nowhere.invalid` }))).toEqual([])
  await leaks.fail(() => redis({ host: `redis://:${password}@127.0.0.1:${server.port}` }))
  expect(leaks.of({ password })).toEqual([])
})

describe('Memcached', () => {
  const credentials = { username: 'somebody', password }
  const connections: Record<string, (port: number) => AnyBackend> = {
    memcached: (port) => memcached({ host, port }),
    'memcached, shared with Python': (port) => memcached({ host, port, layout: 'plain' }),
    'memcached, with a password': (port) => memcached({ host, port, ...credentials }),
    'memcache-client': (port) => memcacheClient({ host, port, timeout: 200 }),
  }

  test.each(Object.entries(connections))('%s does not tell a reply that is none', async (_, connect) => {
    const replies = [
      `${value}\r\n`,
      `VA 3 c1\r\n${value}\r\n`,
      `VALUE ${value} 0 3 1\r\n${value}\r\nEND\r\n`,
      `HD ${value}\r\n`,
    ]
    for (const reply of replies) {
      const [greets, answersAll] = await Promise.all([
        startImpostor((request) => (request === 'version\r\n' ? 'VERSION 1.6.21\r\n' : reply)),
        startImpostor(() => reply),
      ])
      expect(await leaksOf(connect(greets))).toEqual([])
      expect(await leaksOf(connect(answersAll))).toEqual([])
    }
  })

  test.each(Object.entries(connections))('%s does not tell what it has said to an echo', async (_, connect) => {
    expect(await leaksOf(connect(await startImpostor((request) => request)))).toEqual([])
  })

  test.each(Object.entries(connections))('%s does not tell what a Redis makes of it', async (_, connect) => {
    const server = await startRedis()
    cleanups.push(server.stop)
    expect(await leaksOf(connect(server.port))).toEqual([])
  })

  test('does not tell a value that is too long for the server', async () => {
    const server = await startMemcached()
    cleanups.push(server.stop)
    const options = { host, port: server.port, maxItemBytes: 4 * 1024 * 1024 }
    for (const backend of [memcached(options), memcacheClient(options)]) {
      const leaks = new Leaks()
      await leaks.fail(() => newVisitor(serverOn(backend, leaks), { user: value.repeat(100_000) }))
      expect(leaks.seen.codes).toEqual(['ERR_TOO_LARGE'])
      expect(leaks.of({ value })).toEqual([])
    }
  })
})

test.each<[layout: 'plain' | undefined]>([['plain'], [undefined]])(
  "App Engine's memcache does not tell an answer that is no HTTP, nor the ticket (layout %s)",
  async (layout) => {
    const ticket = 'CANARY-TICKET'
    const answers = [
      `${value}\r\n\r\n`,
      `HTTP/1.1 200 OK\r\n${value}\r\n\r\n`,
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${value}`,
      `HTTP/1.1 500 ${value}\r\nContent-Length: 12\r\n\r\n${value}`,
      `HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n${value}`,
    ]
    for (const answer of answers) {
      const port = await startImpostor(() => answer)
      const backend = layout ? appEngineMemcache({ host, port, layout }) : appEngineMemcache({ host, port })
      const request = { headers: { 'x-appengine-api-ticket': ticket } }
      expect(await withAppEngineTicket(request, () => leaksOf(backend))).toEqual([])
    }
  },
)

test.each([
  ["CREATE TRIGGER no BEFORE INSERT ON vishnu_sessions BEGIN SELECT RAISE(ABORT, 'not now'); END"],
  ['ALTER TABLE vishnu_sessions DROP COLUMN value'],
  ['PRAGMA query_only = 1'],
  [
    `DROP TABLE vishnu_sessions; CREATE TABLE vishnu_sessions (
       key TEXT PRIMARY KEY CHECK (length(key) < 5), value BLOB UNIQUE, version TEXT, deadline INTEGER)`,
  ],
])('SQLite does not tell what it refuses to store: %s', async (trouble) => {
  const database = new (Database as unknown as new (file: string) => SqliteDatabase)(':memory:')
  const backend = sqlite({ database })
  await backend.create('key', new Uint8Array(), 1, 0)
  database.exec(trouble)
  const leaks = new Leaks()
  const sessions = serverOn(backend, leaks)
  await leaks.fail(() => newVisitor(sessions, { user: value }))
  const { cookie, key } = await visitorOf(undefined)
  await leaks.try(() => begin(sessions, cookie))
  expect(leaks.of({ value, key })).toEqual([])
})

test('where the store key is the id, as in records shared with Python, no event and no error tells it', async () => {
  const leaks = new Leaks()
  const kept = plainMemory()
  const sessions = serverOn(kept, leaks)
  const cookie = await newVisitor(sessions, { user: value })
  const [key = ''] = (await kept.list?.(undefined))?.keys ?? []
  expect(cookie).toContain(key)
  const secrets = { value, key, 'its publicly known part': key.slice(0, 16) }

  // conflict, rejectedCookie, duplicateCookie, unsaved, gone, insecure
  const slow = await begin(sessions, cookie)
  const other = await begin(sessions, `vishnu=junk; ${await newVisitor(sessions, { user: value })}; ${cookie}`)
  await other.session.update('user', () => value)
  await slow.session.update('user', () => `${value}s`)
  slow.session.set('user', value)
  await slow.respond()
  await leaks.fail(() => slow.session.set('user', value))
  const late = await begin(sessions, cookie)
  await other.session.terminate()
  late.session.set('user', value)
  await leaks.fail(() => late.session.save())
  const visit = sessions.open(undefined, { isPlainHttp: () => true })
  await (await visit.session()).update('user', () => value)
  await sessions.commit(visit, () => undefined)

  // corrupt
  for (const record of [`(dp0\nS'user'\nS'${value}'\ns.`, `c${value}\n${value}\n.`, `V${value}\n.`, value]) {
    const found = await kept.read(key, 0)
    if (found) await kept.delete(key, found)
    await kept.create(key, Buffer.from(record), Date.now() + 60_000, Date.now())
    await begin(sessions, cookie)
  }
  expect(leaks.of(secrets)).toEqual([])
  expect(leaks.seen).toEqual({
    events: ['conflict', 'corrupt', 'duplicateCookie', 'insecure', 'rejectedCookie', 'unsaved'],
    codes: ['ERR_COMMITTED', 'ERR_SESSION_GONE'],
  })
})

test('looking at backends, at their errors and at sockets shows nothing', async () => {
  const server = await startRedis()
  cleanups.push(server.stop)
  const leaks = new Leaks()
  const database = new (Database as unknown as new (file: string) => SqliteDatabase)(':memory:')
  const client = new Redis({ host, port: server.port })
  cleanups.push(() => client.disconnect())
  const backends: AnyBackend[] = [
    memory(),
    plainMemory(),
    sqlite({ database }),
    redis({ client }),
    redis({ client, layout: 'plain' }),
    redis({ url: `redis://:${password}@127.0.0.1:${server.port}` }),
    redis({ host, port: server.port, password, layout: 'plain' }),
    memcached({ host, port: server.port, username: 'somebody', password }),
    memcached({ host, port: server.port, layout: 'plain' }),
    memcacheClient({ host, port: server.port }),
    appEngineMemcache({ host, port: server.port }),
  ]
  const { cookie, key } = await visitorOf(undefined)
  const plain = await visitorOf('plain')
  for (const backend of backends) {
    const sessions = serverOn(backend, leaks)
    const one = backend.layout === 'plain' ? plain : { cookie, key }
    await leaks.try(() => newVisitor(sessions, { user: value }))
    // A visitor whose session is there, if the backend works.
    const own = await newVisitor(sessions, { user: value }).catch(() => one.cookie)
    const request = { headers: { cookie: own } }
    const visit = sessions.open(own)
    sessions.bind(request, visit)
    await leaks.try(async () => {
      const socket = await socketSession(sessions, request)
      socket.onEnd(() => undefined)
      leaks.look(socket, socket.session)
      socket.close()
    })
    await leaks.try(() => sessions.get(request))
    leaks.look(backend, sessions, visit)
    expect(leaks.of({ value, password, key: one.key, cookie: own.slice('vishnu='.length) })).toEqual([])
  }
})
