import type { Backend, PlainBackend } from '../backend.js'
import { ConfigError } from '../errors.js'
import { shown } from './shown.js'

/** Throws `ERR_CONFIG` unless it is a function, as which each law wants it: the usual mistake is to pass a backend. */
export function checkOpen(kit: string, open: unknown): void {
  if (typeof open === 'function') return
  const given = isBackendLike(open) ? 'a backend' : shown(open)
  throw new ConfigError(`${kit}()`, [
    `open must be a function that makes a backend, not ${given}: ${kit}(() => myBackend())`,
  ])
}

/** What `open` has made. Rejects with `ERR_CONFIG` if that is no backend. */
export async function openBackend<B extends Backend | PlainBackend>(
  kit: string,
  open: () => B | Promise<B>,
): Promise<B> {
  const backend = await open()
  checkBackend(kit, backend, 'open has made')
  return backend
}

/** `made`: how the kit came by it, for the message. */
export function checkBackend(kit: string, backend: unknown, made = 'it was passed'): void {
  const isPlain = isObject(backend) && backend['layout'] === 'plain'
  const needed = ['read', 'create', 'replace', ...(isPlain ? [] : ['touch']), 'delete']
  if (!isObject(backend)) {
    throw new ConfigError(`${kit}()`, [`${made} ${shown(backend)} in place of a backend`])
  }
  const missing = needed.filter((operation) => typeof backend[operation] !== 'function')
  if (missing.length > 0) throw new ConfigError(`${kit}()`, [`${made} a backend without ${missing.join(', ')}`])
}

function isBackendLike(value: unknown): boolean {
  return isObject(value) && typeof value['read'] === 'function'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
