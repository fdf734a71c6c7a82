import { createClient } from '@redis/client'
import { Redis } from 'ioredis'
import { Redis as Valkey } from 'iovalkey'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { redis, type RedisOptions } from '../../src/backends/redis.js'
import { type RedisServer, startRedis } from '../helpers/redis-server.js'
import { readMarkdown } from './markdown.js'

const [, rule = ''] = /^ACL SETUSER (vishnu on >password .*)$/m.exec(readMarkdown('docs/security.md').text) ?? []
const login = { username: 'vishnu', password: 'password' }

/** As applications connect; each to another database, since choosing one is a command too. */
const ways: Record<string, (host: string, port: number) => RedisOptions & { end?: () => unknown }> = {
  'a connection of its own': (host, port) => ({ host, port, db: 1, ...login }),
  '@redis/client': (host, port) => {
    const client = createClient({ ...login, database: 2, socket: { host, port } })
    void client.connect()
    return { client, end: () => client.close() }
  },
  ioredis: (host, port) => {
    const client = new Redis({ host, port, db: 3, ...login })
    return { client, end: () => client.quit() }
  },
  iovalkey: (host, port) => {
    const client = new Valkey({ host, port, db: 4, ...login })
    return { client, end: () => client.quit() }
  },
}

describe('the rights that docs/security.md gives to the Redis user', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
    await server.command('ACL', 'SETUSER', ...rule.split(' '))
  })
  afterAll(() => server.stop())

  test.each(Object.entries(ways))('are enough for %s', async (_, connect) => {
    const { end, ...options } = connect('127.0.0.1', server.port)
    const backend = redis(options)
    const [now, deadline, value] = [Date.now(), Date.now() + 60_000, new Uint8Array([1])]
    const created = await backend.create('key', value, deadline, now)
    if (typeof created === 'string') throw new Error(created)
    expect(await backend.touch('key', created, deadline + 1, now)).toBe('touched')
    expect(await backend.replace('key', created, value, deadline, now)).toMatchObject({ deadline })
    expect(await backend.read('key', now)).toMatchObject({ deadline })
    await backend.delete('key')
    expect(await backend.read('key', now)).toBeUndefined()
    await backend.close?.()
    await end?.()
    expect(await server.command('ACL', 'LOG'), 'what was refused').toMatch(/^$|empty|nil/)
  })
})
