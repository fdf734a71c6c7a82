import process from 'node:process'
import type { Backend, PlainBackend } from '../backend.js'
import { ConfigError, describeValue, isHost, isWholeNumber, unknownOptions } from '../errors.js'
import { AppEngineMemcacheCommands } from './app-engine-memcache-commands.js'
import { PlainAppEngineMemcacheBackend } from './app-engine-memcache-plain.js'
import { AppEngineRpc } from './app-engine-memcache-rpc.js'
import { MemcachedBackend } from './memcached-entries.js'

export { type AppEngineRequest, withAppEngineTicket } from './app-engine-memcache-ticket.js'

/** How the service is used. Where it is, App Engine says in the environment. */
export interface AppEngineMemcacheOptions {
  /** Keeps sessions apart from what else is in the memcache: up to 100 of `A-Z a-z 0-9 . _ -`. Default `vishnu`. */
  namespace?: string
  /** Default: the environment's `API_HOST`, or else `appengine.googleapis.internal`. */
  host?: string
  /** Default: the environment's `API_PORT`, or else 10001. */
  port?: number
  /** Milliseconds that a call may take, connecting included. Default 1000. */
  timeout?: number
}

/** For records that are shared with the Python library. */
export interface PlainAppEngineMemcacheOptions extends AppEngineMemcacheOptions {
  /** Values are bare records, without the head that is else put in front. Dialects such as `vishnuPython()` need it. */
  layout: 'plain'
}

/** What Google documents as the longest value: https://cloud.google.com/appengine/docs/standard/services/memcache */
const MAX_ITEM_BYTES = 1_000_000

const OPTIONS = ['namespace', 'host', 'port', 'timeout', 'layout']

/**
 * Sessions in the memcache that is bundled with App Engine's standard environment. Every request has to be handled within
 * {@link withAppEngineTicket}.
 *
 * Google documents this service for Java, Python, Go and PHP, and **not for Node**: whether App Engine lets an application
 * in Node use it, nobody but Google can say. What Google supports for Node is Memorystore: use `redis()` or `memcached()`.
 *
 * Memcache evicts sessions when it likes. Their visitors are logged out; nothing worse comes of it.
 *
 * @experimental May change or go in a minor version. Tested with the API server of Google's SDK, never in production.
 * @throws `ERR_CONFIG` for wrong options.
 */
export function appEngineMemcache(options: PlainAppEngineMemcacheOptions): PlainBackend
export function appEngineMemcache(options?: AppEngineMemcacheOptions): Backend
export function appEngineMemcache(
  options: AppEngineMemcacheOptions & { layout?: 'plain' } = {},
): Backend | PlainBackend {
  const { namespace, layout, ...target } = check(options)
  const commands = new AppEngineMemcacheCommands(new AppEngineRpc(target), namespace)
  if (layout === 'plain') return new PlainAppEngineMemcacheBackend(commands, MAX_ITEM_BYTES)
  return new MemcachedBackend(commands, '', MAX_ITEM_BYTES)
}

function check(options: AppEngineMemcacheOptions & { layout?: 'plain' }): Required<AppEngineMemcacheOptions> & {
  layout: 'plain' | undefined
} {
  const problems = unknownOptions(options, OPTIONS)
  const { API_HOST = 'appengine.googleapis.internal', API_PORT = '10001' } = process.env
  const { namespace = 'vishnu', host = API_HOST, port = Number(API_PORT), timeout = 1000, layout } = options
  const must = (isSo: boolean, name: string, rule: string, value: unknown): void => {
    if (!isSo) problems.push(`${name} must be ${rule}, not ${describeValue(value)}`)
  }
  const isNamespace = typeof namespace === 'string' && /^[\w.-]{0,100}$/.test(namespace)
  must(isNamespace, 'namespace', 'up to 100 of the characters A-Z a-z 0-9 . _ -', namespace)
  must(isHost(host), 'host', 'a host name or an address', host)
  must(isWholeNumber(port, 1, 65_535), 'port', 'a whole number from 1 to 65535', port)
  must(isWholeNumber(timeout, 1, 600_000), 'timeout', 'a whole number of milliseconds from 1 to 600000', timeout)
  if (layout !== undefined && layout !== 'plain') problems.push("layout must be 'plain' or left out")
  if (problems.length > 0) throw new ConfigError('appEngineMemcache', problems)
  return { namespace, host, port, timeout, layout }
}
