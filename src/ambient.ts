import { AsyncLocalStorage } from 'node:async_hooks'
import { SessionError } from './errors.js'
import type { Session } from './session.js'

/** One request in the eyes of one `Sessions`; with nested middlewares the outer ones stay reachable. */
export interface Ambient {
  readonly sessions: object
  readonly visit: { session(): Promise<unknown> }
  readonly outer: Ambient | undefined
}

// `run` and never `enterWith`: what a request sees ends with it, so interleaved requests can't see each other's.
const storage = new AsyncLocalStorage<Ambient>()

export function runWith<T>(sessions: object, visit: Ambient['visit'], handler: () => T): T {
  return storage.run({ sessions, visit, outer: storage.getStore() }, handler)
}

/** The innermost request, or the innermost one of the given `Sessions`. */
export function currentVisit(sessions?: object): Ambient['visit'] {
  for (let ambient = storage.getStore(); ambient; ambient = ambient.outer) {
    if (sessions === undefined || ambient.sessions === sessions) return ambient.visit
  }
  throw new SessionError(
    'ERR_NO_REQUEST',
    'There is no current session here: call this while a request is handled, behind the session middleware',
  )
}

/**
 * The session of the request that is being handled, wherever in the code that is. With several middlewares: the
 * innermost one's. `sessions.current()` is the same, typed, for one of them.
 *
 * @throws `ERR_NO_REQUEST` outside a request; `ERR_BACKEND` if the session can't be read.
 */
export async function getSession<Data extends object = Record<string, unknown>>(): Promise<Session<Data>> {
  return (await currentVisit().session()) as Session<Data>
}
