import type { Backend } from '../../src/backend.js'
import { memcacheClient, type MemcacheClientOptions } from '../../src/backends/memcache-client.js'
import { memcached } from '../../src/backends/memcached.js'

export interface MemcachedWay {
  readonly name: string
  readonly open: (options: MemcacheClientOptions) => Backend
}

/** Whichever client it is, visitors must not see a difference. */
export const memcachedWays: readonly MemcachedWay[] = [
  { name: 'memcached()', open: memcached },
  { name: 'memcacheClient()', open: memcacheClient },
]
