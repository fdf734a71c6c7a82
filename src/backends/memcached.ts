import type { Backend, PlainBackend } from '../backend.js'
import { ConfigError } from '../errors.js'
import { ITEM_OVERHEAD_BYTES, MemcachedClient } from '../memcached-client/index.js'
import { MemcachedBackend } from './memcached-entries.js'
import { withSessionErrors } from './memcached-errors.js'
import { PlainMemcachedBackend } from './memcached-plain.js'
import { checkMemcachedOptions, type MemcachedAddress, type MemcachedOptions } from './memcached-options.js'

export type { MemcachedAddress, MemcachedOptions }

/** For records that are shared with another library. */
export interface PlainMemcachedOptions extends MemcachedOptions {
  /** Values are bare records, without the head that is else put in front. Dialects such as `vishnuPython()` need it. */
  layout: 'plain'
  /** Put in front of every key. Default: nothing, as in the Python library. */
  prefix?: string
}

/**
 * Sessions in memcached 1.6.10 or later, over a client of our own that needs no further package. Without options:
 * `localhost:11211`.
 *
 * Memcached keeps nothing over a restart, and when it is full it evicts the sessions that were used least recently. Their
 * visitors are logged out; nothing worse comes of it.
 *
 * @throws `ERR_CONFIG` for wrong options.
 */
export function memcached(options: PlainMemcachedOptions): PlainBackend
export function memcached(options?: MemcachedOptions): Backend
export function memcached({ layout, ...options }: MemcachedOptions & { layout?: 'plain' } = {}):
  Backend | PlainBackend {
  if (layout === undefined) {
    const target = checkMemcachedOptions('memcached', options)
    const { prefix, maxItemBytes } = target
    const commands = withSessionErrors(new MemcachedClient(target))
    return new MemcachedBackend(commands, prefix, maxItemBytes - ITEM_OVERHEAD_BYTES)
  }
  if (layout !== 'plain') throw new ConfigError('memcached', ["layout must be 'plain' or left out"])
  const target = checkMemcachedOptions('memcached', { ...options, prefix: options.prefix ?? '' })
  return new PlainMemcachedBackend(new MemcachedClient(target), target)
}
