import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../src/backend.js'
import { memcacheClient } from '../../src/backends/memcache-client.js'
import { memcached, type MemcachedOptions } from '../../src/backends/memcached.js'
import { ConfigError } from '../../src/errors.js'
import { isolatePackage, type IsolatedPackage } from '../helpers/isolated-package.js'
import { startMemcached, type MemcachedServer } from '../helpers/memcached-server.js'
import { memcachedWays } from '../helpers/memcached-ways.js'
import { certificate, key as privateKey } from '../helpers/self-signed.js'
import { thrownBy } from '../helpers/unit-errors.js'

const key = 'k'.repeat(43)
const value = Buffer.from('a value')
const now = Date.UTC(2026, 0, 1)
const deadline = now + 3_600_000

const opened: Backend[] = []
afterEach(async () => {
  for (const backend of opened.splice(0)) await backend.close?.()
})

function closedAfterwards(backend: Backend): Backend {
  opened.push(backend)
  return backend
}

describe.each(memcachedWays)('$name', ({ open }) => {
  const servers = [{ host: 'localhost' }, { host: 'localhost', port: 11_212 }]
  const cases: [options: unknown, ...problems: RegExp[]][] = [
    [{ host: 1 }, /^host .*1/],
    [{ host: '' }, /^host /],
    [{ host: 'a b' }, /^host /],
    [{ host: 'memcached://me:password@host' }, /^host .*, not a string of length 28$/],
    [{ port: '11211' }, /^port .*a string of length 5$/],
    [{ port: 0 }, /^port /],
    [{ port: 70_000 }, /^port .*70000/],
    [{ servers: [] }, /^servers /],
    [{ servers: 'localhost' }, /^servers .*a string of length 9$/],
    [{ servers: ['localhost'] }, /^servers\[0\]\.host /],
    [{ servers: [{ host: 'localhost', port: -1 }] }, /^servers\[0\]\.port .*-1/],
    [{ servers: [null, ...servers] }, /^servers\[0\]\.host /],
    [{ servers: [...servers, { host: 'localhost', port: 11_211 }] }, /^servers .*twice/],
    [{ servers, host: 'localhost' }, /^servers .*host/],
    [{ servers, port: 11_211 }, /^servers .*port/],
    [{ tls: 'yes' }, /^tls /],
    [{ tls: null }, /^tls /],
    [{ prefix: 5 }, /^prefix /],
    [{ prefix: 'a b' }, /^prefix /],
    [{ prefix: 'a\r\n' }, /^prefix /],
    [{ prefix: 'ü' }, /^prefix /],
    [{ prefix: 'p'.repeat(101) }, /^prefix /],
    [{ timeout: 0 }, /^timeout .*milliseconds/],
    [{ timeout: '1000' }, /^timeout /],
    [{ maxItemBytes: 1000 }, /^maxItemBytes /],
    [{ maxItemBytes: '1m' }, /^maxItemBytes .*a string of length 2$/],
    [{ max_item_bytes: 2048 }, /^max_item_bytes is not an option: did you mean maxItemBytes\?$/],
    [{ Servers: servers }, /did you mean servers\?$/],
    [{ nonsense: true }, /^nonsense is not an option$/],
    [{ host: 1, port: '1', nonsense: true, prefix: 5 }, /nonsense/, /host/, /port/, /prefix/],
  ]

  test.each(cases)('tells what is wrong with %j, all of it, when it is made', (options, ...problems) => {
    const error = thrownBy(() => open(options as MemcachedOptions))
    expect(error).toBeInstanceOf(ConfigError)
    const told = (error as ConfigError).problems
    expect(told).toHaveLength(problems.length)
    for (const problem of problems) expect(told).toContainEqual(expect.stringMatching(problem))
  })

  test('takes what is undefined for left out', () => {
    const options = { host: undefined, port: undefined, servers: undefined, tls: undefined, prefix: undefined }
    expect(() => closedAfterwards(open(options as unknown as MemcachedOptions))).not.toThrow()
  })

  test('needs no options', () => {
    expect(() => closedAfterwards(open({}))).not.toThrow()
  })
})

describe('user name and password', () => {
  let dir: string
  let locked: MemcachedServer
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'vishnu-memcached-'))
    await writeFile(join(dir, 'users'), 'shop:s3cret\n')
    locked = await startMemcached({ args: ['-Y', join(dir, 'users')] })
  })
  afterAll(async () => {
    await locked.stop()
    await rm(dir, { recursive: true })
  })

  const connect = (options: MemcachedOptions): Backend =>
    closedAfterwards(memcached({ host: locked.host, port: locked.port, ...options }))

  test('let in who has the right ones', async () => {
    const backend = connect({ username: 'shop', password: 's3cret' })
    await backend.create(key, value, deadline, now)
    expect(await backend.read(key, now)).toMatchObject({ value })
  })

  test.each([{}, { username: 'shop', password: 'wrong' }])('are asked of whoever has %j', async (options) => {
    const refusal = connect(options).read(key, now)
    await expect(refusal).rejects.toMatchObject({ code: 'ERR_BACKEND', status: 503 })
    await expect(refusal).rejects.toThrow(/password/)
  })

  test('are nothing that memcache-client could send', () => {
    const options = { username: 'shop', password: 'hunter2' } as MemcachedOptions
    const error = thrownBy(() => memcacheClient(options)) as ConfigError
    expect(error.problems).toEqual(['username is not an option', 'password is not an option'])
    expect(error.stack).not.toContain('hunter2')
  })

  test('need each other', () => {
    for (const options of [{ username: 'shop' }, { password: 'hunter2' }]) {
      const error = thrownBy(() => memcached(options)) as ConfigError
      expect(error.problems).toEqual(['username and password need each other'])
    }
    const error = thrownBy(() => memcached({ username: 'shop', password: 1234 as never })) as ConfigError
    expect(error.problems).toEqual(['password must be a string'])
  })
})

describe('TLS', () => {
  let dir: string
  let server: MemcachedServer
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'vishnu-memcached-'))
    const [certificateFile, keyFile] = [join(dir, 'certificate.pem'), join(dir, 'key.pem')]
    await writeFile(certificateFile, certificate)
    await writeFile(keyFile, privateKey)
    server = await startMemcached({ args: ['-Z', '-o', `ssl_chain_cert=${certificateFile},ssl_key=${keyFile}`] })
  })
  afterAll(async () => {
    await server.stop()
    await rm(dir, { recursive: true })
  })

  test.each(memcachedWays)('carries sessions for $name, if it trusts the certificate', async ({ open }) => {
    const address = { host: server.host, port: server.port }
    const backend = closedAfterwards(open({ ...address, tls: { ca: certificate } }))
    const bytes = Buffer.alloc(500_000, 'x')
    await backend.delete(key)
    expect(await backend.create(key, bytes, deadline, now)).toBeTypeOf('object')
    expect(bytes.equals((await backend.read(key, now))?.value ?? Buffer.of())).toBe(true)
    await expect(closedAfterwards(open({ ...address, tls: true })).read(key, now)).rejects.toThrow('self-signed')
  })
})

describe('an IPv6 address', () => {
  test('is fine for memcached()', async () => {
    const server = await startMemcached({ host: '::1' })
    const backend = closedAfterwards(memcached({ host: '::1', port: server.port }))
    expect(await backend.create(key, value, deadline, now)).toBeTypeOf('object')
    await backend.close?.()
    await server.stop()
  })

  test('is refused by memcacheClient(), whose package would take it for a host and a port', () => {
    expect(thrownBy(() => memcacheClient({ host: '::1' }))).toBeInstanceOf(ConfigError)
  })
})

describe('the package memcache-client', () => {
  let isolated: IsolatedPackage
  beforeAll(async () => {
    isolated = await isolatePackage()
  }, 60_000)
  afterAll(() => isolated.remove())

  test('is missed at once by memcacheClient(), and never by memcached()', async () => {
    const script = `
      import { memcached } from 'vishnu/backends/memcached'
      import { memcacheClient } from 'vishnu/backends/memcache-client'
      memcached()
      try { memcacheClient() } catch (error) { console.log(error.code, error.message) }`
    expect(await isolated.run(script)).toMatch(/^ERR_CLIENT_MISSING .*npm install memcache-client/)
  })
})
