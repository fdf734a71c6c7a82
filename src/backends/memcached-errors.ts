import { SessionError } from '../errors.js'
import { MemcachedError } from '../memcached-client/index.js'
import type { MemcachedCommands } from './memcached-entries.js'

export function withSessionErrors(commands: MemcachedCommands): MemcachedCommands {
  const explain = (error: unknown): never => {
    throw explained(error)
  }
  return {
    get: (key) => commands.get(key).catch(explain),
    add: (...args) => commands.add(...args).catch(explain),
    compareAndSet: (...args) => commands.compareAndSet(...args).catch(explain),
    delete: (key) => commands.delete(key).catch(explain),
    close: () => commands.close(),
  }
}

/** What can't be cured by asking again. All else is left to the core, which finds out what has become of a write. */
export function explained(error: unknown): unknown {
  if (!(error instanceof MemcachedError)) return error
  const options = { cause: error }
  switch (error.code) {
    case 'TOO_LARGE':
      return new SessionError(
        'ERR_TOO_LARGE',
        `${error.message}: tell the backend in maxItemBytes what memcached was told by -I`,
        options,
      )
    case 'KEY':
    case 'AUTH':
    case 'CLOSED':
      return new SessionError('ERR_BACKEND', error.message, options)
    default:
      return error
  }
}
