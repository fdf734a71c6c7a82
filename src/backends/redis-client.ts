import { ConfigError } from '../errors.js'
import type { RedisCommands } from './redis-commands.js'
import { bindIoredis, type Ioredis } from './redis-ioredis.js'
import { bindNodeRedis, type NodeRedis } from './redis-node-redis.js'

/**
 * A client, cluster or Sentinel client of `@redis/client`, `ioredis` or `iovalkey`: recognised by what it can do, so
 * none is imported.
 */
export type RedisClient = IoredisLike | NodeRedisLike

interface IoredisLike {
  getBuffer(...args: never[]): unknown
  evalsha(...args: never[]): unknown
}

interface NodeRedisLike {
  withTypeMapping(...args: never[]): unknown
  evalSha(...args: never[]): unknown
}

export function bindClient(client: RedisClient): RedisCommands {
  if (hasMethod(client, 'getBuffer') && hasMethod(client, 'evalsha')) return bindIoredis(client as unknown as Ioredis)
  if (hasMethod(client, 'withTypeMapping') && hasMethod(client, 'evalSha')) {
    return bindNodeRedis(client as unknown as NodeRedis)
  }
  throw new ConfigError('redis', ['client must be a client of @redis/client 5 or later, ioredis or iovalkey'])
}

function hasMethod(client: unknown, name: string): boolean {
  return typeof (client as Record<string, unknown> | null | undefined)?.[name] === 'function'
}
