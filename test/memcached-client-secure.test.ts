import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MemcachedClient } from '../src/memcached-client/index.js'
import { failureOf } from './helpers/memcached-failure.js'
import { startMemcached, type MemcachedServer } from './helpers/memcached-server.js'
import { certificate, key } from './helpers/self-signed.js'

let dir: string
let server: MemcachedServer

describe('over TLS', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'vishnu-tls-'))
    const [certificateFile, keyFile] = [join(dir, 'certificate.pem'), join(dir, 'key.pem')]
    await writeFile(certificateFile, certificate)
    await writeFile(keyFile, key)
    // As Debian's memcached, it has to be built with TLS.
    server = await startMemcached({ args: ['-Z', '-o', `ssl_chain_cert=${certificateFile},ssl_key=${keyFile}`] })
  })

  afterAll(async () => {
    await server.stop()
    await rm(dir, { recursive: true })
  })

  test('values come and go, a long one too', async () => {
    const client = new MemcachedClient({ servers: [server], timeout: 10_000, tls: { ca: certificate } })
    const value = Buffer.alloc(500_000, 'x')
    const stored = await client.add('key', value, 0)
    expect(stored).toHaveProperty('cas')
    expect(value.equals((await client.get('key'))?.value ?? Buffer.alloc(0))).toBe(true)
    await client.close()
  })

  test('an idle connection lets the process end', async () => {
    const client = new MemcachedClient({ servers: [server], timeout: 10_000, tls: { ca: certificate } })
    await client.get('key')
    const idle = process.getActiveResourcesInfo().toSorted()
    const pending = client.get('key')
    expect(process.getActiveResourcesInfo().toSorted()).toEqual([...idle, 'TCPSocketWrap'].toSorted())
    await pending
    await client.close()
  })

  test('a server whose certificate nobody vouches for is not trusted', async () => {
    const client = new MemcachedClient({ servers: [server], timeout: 10_000, tls: true })
    const failure = await failureOf(client.add('other', Buffer.from('x'), 0))
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', outcomeUnknown: false })
    expect(failure.message).toContain('self-signed')
    await client.close()
  })

  test('a client without TLS is told nothing', async () => {
    const client = new MemcachedClient({ servers: [server], timeout: 300 })
    expect(await failureOf(client.get('key'))).toMatchObject({ outcomeUnknown: false })
    await client.close()
  })
})

describe('with a password file', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'vishnu-memcached-login-'))
    const file = join(dir, 'passwords')
    await writeFile(file, 'app:s3cret-pässword\nother:1234\n')
    server = await startMemcached({ args: ['-Y', file] })
  })

  afterAll(async () => {
    await server.stop()
    await rm(dir, { recursive: true })
  })

  test('the right password opens the server', async () => {
    const client = new MemcachedClient({
      servers: [server],
      timeout: 10_000,
      username: 'app',
      password: 's3cret-pässword',
    })
    const stored = await client.add('key', Buffer.from('x'), 0)
    expect(await client.get('key')).toEqual({ value: Buffer.from('x'), ...(stored as { cas: string }) })
    await client.close()
  })

  test.each([
    { username: 'app', password: 'wrong' },
    { username: 'nobody', password: 's3cret-pässword' },
    { username: '', password: '' },
    { username: 'app', password: 'x\r\nflush_all' },
  ])('$username:$password does not', async (login) => {
    const client = new MemcachedClient({ servers: [server], timeout: 10_000, ...login })
    const failure = await failureOf(client.add('canary', Buffer.from('x'), 0))
    expect(failure).toMatchObject({ code: 'AUTH', outcomeUnknown: false })
    expect(failure.message).toContain('refused the user name and password')
    expect(failure.message).not.toContain('wrong')
    expect(failure.message).not.toContain('s3cret')
    await client.close()
  })

  test('no password does not', async () => {
    const client = new MemcachedClient({ servers: [server], timeout: 10_000 })
    expect(await failureOf(client.get('key'))).toMatchObject({ code: 'AUTH', outcomeUnknown: false })
    await client.close()
  })

  test('a password is not left behind on a server that does not ask for one', async () => {
    const open = await startMemcached()
    const client = new MemcachedClient({ servers: [open], timeout: 10_000, username: 'app', password: 's3cret' })
    expect(await client.get('key')).toBeUndefined()
    expect(await open.command('mg login v')).toBe('EN\r\n')
    await client.close()
    await open.stop()
  })
})
