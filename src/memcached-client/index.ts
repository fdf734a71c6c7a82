/*
 * A client for memcached 1.6.10 or later that knows compare-and-set and no other way to overwrite. It stands alone: no part
 * of it imports anything from outside this folder but Node's own modules.
 */
export { ITEM_OVERHEAD_BYTES, MemcachedClient } from './client.js'
export type { MemcachedClientOptions } from './client.js'
export { MemcachedError } from './errors.js'
export type { MemcachedErrorCode } from './errors.js'
export { assertKey } from './meta-protocol.js'
export { Ring } from './ring.js'
export type { MemcachedServer } from './ring.js'
