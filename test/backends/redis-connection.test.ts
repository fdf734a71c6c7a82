import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backend.js'
import { redis, type RedisOptions } from '../../src/backends/redis.js'
import { ConfigError } from '../../src/errors.js'
import { freePort } from '../helpers/free-port.js'
import { eventually } from '../helpers/redis-eventually.js'
import { isolatePackage, type IsolatedPackage } from '../helpers/isolated-package.js'
import { startRedis, type RedisServer } from '../helpers/redis-server.js'
import { statistic } from '../helpers/redis-statistics.js'
import { startTlsRedis, type TlsRedis } from '../helpers/redis-tls.js'
import { certificate } from '../helpers/self-signed.js'

const host = '127.0.0.1'
const key = 'k'.repeat(43)
const now = Date.UTC(2026, 0, 1)

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.stop())

const opened: Backend[] = []
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.close?.()
})

function open(options: RedisOptions): Backend {
  const backend = redis(options)
  opened.push(backend)
  return backend
}

/** What a mistake in the set-up must lead to: soon, an error with a code. Not a wait for what will never come. */
const soon = { timeout: 5_000 }

describe('wrong options', () => {
  const client = { getBuffer: () => undefined, evalsha: () => undefined, on: () => undefined }
  const cases: [options: unknown, ...problems: RegExp[]][] = [
    [{ host: 1 }, /^host /],
    [{ host: '' }, /^host /],
    [{ host: 'redis://:password@host' }, /^host .*, not a string of length 22$/],
    [{ host: '/run/redis.sock' }, /^host /],
    [{ port: '1234' }, /^port .*a string of length 4$/],
    [{ port: 70_000 }, /^port .*70000/],
    [{ port: 0 }, /^port /],
    [{ db: -1 }, /^db .*-1/],
    [{ db: '1' }, /^db /],
    [{ database: 1 }, /^database is not an option$/],
    [{ user_name: 'ada' }, /^user_name is not an option: did you mean username\?$/],
    [{ waitforreplicas: 1 }, /^waitforreplicas is not an option: did you mean waitForReplicas\?$/],
    [{ prefix: 5 }, /^prefix /],
    [{ waitForReplicas: -1 }, /^waitForReplicas .*-1/],
    [{ waitForReplicas: 0.5 }, /^waitForReplicas /],
    [{ waitForReplicas: '1' }, /^waitForReplicas /],
    [{ username: 5 }, /^username /],
    [{ password: 5 }, /^password /],
    [{ tls: 'yes' }, /^tls /],
    [{ url: 'http://localhost' }, /^url /],
    [{ url: 'localhost:6379' }, /^url /],
    [{ url: 'redis://localhost:99999' }, /^url /],
    [{ url: 'redis://localhost/sessions' }, /^url /],
    [{ url: 'redis://:50%@localhost' }, /^url /],
    [{ url: 6379 }, /^url /],
    [{ url: 'redis://localhost', host: 'localhost' }, /^url .*host/],
    [{ client, host: 'localhost' }, /^client /],
    [{ client, nonsense: true }, /^nonsense /],
    [{ client: {} }, /^client /],
    [{ host: 1, port: '1234', db: -1, nonsense: true, prefix: 5 }, /nonsense/, /host/, /port/, /db/, /prefix/],
  ]

  test.each(cases)('%j are told, all of them, when the backend is made', (options, ...problems) => {
    const error = thrownBy(() => redis(options as RedisOptions))
    expect(error).toBeInstanceOf(ConfigError)
    const told = (error as ConfigError).problems
    expect(told).toHaveLength(problems.length)
    for (const problem of problems) expect(told).toContainEqual(expect.stringMatching(problem))
  })

  test('do not put a password into an error', () => {
    for (const url of [
      'redis://:hunter2@localhost/sessions',
      'nonsense://:hunter2@localhost',
      'redis://:hunter2%@localhost',
    ]) {
      const error = thrownBy(() => redis({ url }))
      expect(String((error as Error).stack)).not.toContain('hunter2')
    }
  })

  test('that are undefined count as left out', () => {
    const options = { host, port: undefined, db: undefined, url: undefined, client: undefined } as unknown
    expect(() => open(options as RedisOptions)).not.toThrow()
  })
})

describe('a connection of the backend', () => {
  test('is not made before the first session is read', async () => {
    const connections = (): Promise<number> => statistic(server, 'total_connections_received')
    const before = await connections()
    const backend = open({ host, port: server.port })
    // Each question is a connection of its own.
    expect(await connections()).toBe(before + 1)
    expect(await connections()).toBe(before + 2)
    await backend.read(key, now)
    expect(await connections()).toBe(before + 4)
  })

  test('is one, however many ask first', async () => {
    const backend = open({ host, port: server.port })
    const before = await statistic(server, 'total_connections_received')
    await Promise.all(Array.from({ length: 20 }, () => backend.read(key, now)))
    expect(await statistic(server, 'total_connections_received')).toBe(before + 2)
  })

  test('is closed with the backend, twice if need be, and unused too', async () => {
    const clients = (): Promise<number> => statistic(server, 'connected_clients')
    const before = await clients()
    const [backend, unused] = [open({ host, port: server.port }), open({ host, port: server.port })]
    await backend.read(key, now)
    expect(await clients()).toBe(before + 1)
    for (const one of [backend, unused, backend, unused]) await one.close?.()
    await eventually(async () => (await clients()) === before)
  })

  test('answers with an error once it is closed, and is not made any more', soon, async () => {
    const [used, unused] = [open({ host, port: server.port }), open({ host, port: server.port })]
    await used.read(key, now)
    const before = await statistic(server, 'total_connections_received')
    for (const backend of [used, unused]) {
      await backend.close?.()
      expect(await answers(backend)).toBe(false)
    }
    // The question's own.
    expect(await statistic(server, 'total_connections_received')).toBe(before + 1)
  })

  test('to a server that is not there is an error at once, and is made when it is there', soon, async () => {
    const port = await freePort()
    const backend = open({ host, port })
    for (let attempt = 0; attempt < 2; attempt++) await expect(backend.read(key, now)).rejects.toThrow('ECONNREFUSED')
    const late = await startRedis({ port })
    await eventually(() => answers(backend))
    await late.stop()
  })

  test('to a database that the server does not have is an error at once', soon, async () => {
    await expect(open({ host, port: server.port, db: 99 }).read(key, now)).rejects.toThrow(/DB index/)
  })
})

describe('a server with passwords', () => {
  let locked: RedisServer
  beforeAll(async () => {
    locked = await startRedis()
    await locked.command('ACL', 'SETUSER', 'shop', 'on', '>p@ss: wörd', '~vishnu:*', '+@all')
    await locked.command('CONFIG', 'SET', 'requirepass', 's%cret')
  })
  afterAll(() => locked.stop())

  test('lets in who has the right one', async () => {
    const { port } = locked
    for (const options of [
      { host, port, password: 's%cret' },
      { url: `redis://:s%25cret@${host}:${port}` },
      { host, port, username: 'shop', password: 'p@ss: wörd' },
      { url: `redis://shop:${encodeURIComponent('p@ss: wörd')}@${host}:${port}/0` },
    ]) {
      expect(await open(options).read(key, now)).toBeUndefined()
    }
  })

  test.each([
    ['a wrong password', { password: 'wrong' }, /WRONGPASS/],
    ['no password', {}, /NOAUTH/],
    ['an unknown user', { username: 'nobody', password: 's%cret' }, /WRONGPASS/],
  ])('answers %s with an error at once', soon, async (_, options, reason) => {
    const backend = open({ host, port: locked.port, ...options })
    for (let attempt = 0; attempt < 2; attempt++) {
      const refusal = backend.read(key, now)
      await expect(refusal).rejects.toMatchObject({ code: 'ERR_BACKEND', status: 503 })
      await expect(refusal).rejects.toThrow(reason)
      await expect(refusal).rejects.not.toThrow(/wrong$|s%cret/)
    }
  })

  test('lets in who had a wrong one as soon as it is right, without a restart', soon, async () => {
    await server.command('ACL', 'SETUSER', 'late', 'on', '>other', '~*', '+@all')
    const backend = open({ host, port: server.port, username: 'late', password: 'right' })
    await expect(backend.read(key, now)).rejects.toMatchObject({ code: 'ERR_BACKEND' })
    await server.command('ACL', 'SETUSER', 'late', '>right')
    await eventually(() => answers(backend))
  })
})

describe('TLS', () => {
  let secure: TlsRedis
  beforeAll(async () => {
    secure = await startTlsRedis()
  })
  afterAll(() => secure.stop())

  test.each(['127.0.0.1', 'localhost'])('reaches %s where its certificate is trusted', async (name) => {
    const backend = open({ host: name, port: secure.tlsPort, tls: { ca: certificate } })
    expect(await backend.create(`tls ${name}`, Buffer.from('value'), now + 1000, now)).toBeTypeOf('object')
    expect(await backend.read(`tls ${name}`, now)).toMatchObject({ value: Buffer.from('value') })
  })

  test('refuses a server whose certificate is not trusted', soon, async () => {
    for (const options of [
      { host, port: secure.tlsPort, tls: true },
      { host, port: secure.tlsPort, tls: {} },
      { url: `rediss://${host}:${secure.tlsPort}` },
    ]) {
      await expect(open(options).read(key, now)).rejects.toThrow(/self-signed/)
    }
  })

  test('can be told to trust any certificate', async () => {
    const backend = open({ host, port: secure.tlsPort, tls: { rejectUnauthorized: false } })
    expect(await backend.read(key, now)).toBeUndefined()
  })

  test('is not left out by mistake: a plain connection is not answered', soon, async () => {
    expect(await answers(open({ host, port: secure.tlsPort }))).toBe(false)
  })
})

describe('with whatever client is installed', () => {
  let isolated: IsolatedPackage
  beforeAll(async () => {
    isolated = await isolatePackage()
  })
  afterAll(() => isolated.remove())

  test('none: the error names the package to install', async () => {
    const printed = await isolated.run(`
      import { redis } from 'vishnu/backends/redis'
      try { redis() } catch (error) { console.log(error.code, error.message) }
    `)
    expect(printed).toMatch(/^ERR_CLIENT_MISSING .*npm install @redis\/client \(or ioredis, or iovalkey\)/)
  })

  test('none: a client of the application does', async () => {
    const printed = await isolated.run(`
      import { redis } from 'vishnu/backends/redis'
      const client = { on() {}, evalsha() {}, getBuffer: async () => null }
      console.log(await redis({ client }).read('${key}', 0))
    `)
    expect(printed).toBe('undefined\n')
  })

  test.each(['@redis/client', 'ioredis', 'iovalkey'])(
    '%s: every law is kept, mistakes are told, and the process can end',
    async (name) => {
      const printed = await isolated.run(
        `
        import { redis } from 'vishnu/backends/redis'
        import { backendLaws } from 'vishnu/testing'
        const [host, port] = ['${host}', ${server.port}]
        const broken = []
        for (const law of backendLaws(() => redis({ host, port }))) {
          await law.check().catch((error) => broken.push(law.name + ': ' + error.message))
        }
        const reasons = []
        for (const options of [{ username: 'nobody', password: 'wrong' }, { db: 99 }, { port: ${await freePort()} }]) {
          const backend = redis({ host, port, ...options })
          const late = new Promise((resolve) => setTimeout(resolve, 3000, 'nothing').unref())
          const outcome = await Promise.race([backend.read('${key}', 0).catch((error) => error.message), late])
          reasons.push(outcome)
          await backend.close()
        }
        console.log(JSON.stringify({ broken, reasons }))
        `,
        [name],
      )
      const { broken, reasons } = JSON.parse(printed) as { broken: string[]; reasons: string[] }
      expect(broken).toEqual([])
      expect(reasons).toMatchObject(
        [/WRONGPASS|AUTH/, /DB index/, /ECONNREFUSED/].map((text) => expect.stringMatching(text)),
      )
    },
  )
})

function answers(backend: Backend): Promise<boolean> {
  return backend.read(key, now).then(
    () => true,
    () => false,
  )
}

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
