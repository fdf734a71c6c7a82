import type { Backend } from '../backend.js'
import { MemcachedClient } from '../memcached-client/index.js'
import { MemcachedBackend } from './memcached-entries.js'
import { checkMemcachedOptions, type MemcachedAddress, type MemcachedOptions } from './memcached-options.js'

export type { MemcachedAddress, MemcachedOptions }

/**
 * Sessions in memcached 1.6.10 or later, over a client of our own that needs no further package. Without options:
 * `localhost:11211`.
 *
 * Memcached keeps nothing over a restart, and when it is full it evicts the sessions that were used least recently. Their
 * visitors are logged out; nothing worse comes of it.
 *
 * @throws `ERR_CONFIG` for wrong options.
 */
export function memcached(options: MemcachedOptions = {}): Backend {
  const target = checkMemcachedOptions('memcached', options)
  return new MemcachedBackend(new MemcachedClient(target), target)
}
