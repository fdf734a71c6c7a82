import { ConfigError, unknownOption } from '../errors.js'
import { shown } from './shown.js'

/**
 * What an adapter can do. `false` declares that it can't, and the scenario then asserts that as well: a limit that is not
 * there any more, or never was, is reported like a promise that is not kept.
 */
export interface HttpCapabilities {
  /**
   * A response can set our cookie. Without it, as in a Next.js server component, sessions are read, and `update` and
   * `terminate` work for those that have a cookie; whatever needs a new one is refused with `ERR_COMMITTED`.
   */
  readonly cookie: boolean
  /** `Vary: Cookie` and our `Cache-Control` reach the response, merged with the application's own. */
  readonly headers: boolean
  /** A streamed body is passed on piece by piece. Without it the body is collected first. */
  readonly stream: boolean
  /**
   * A streamed body is closed when its visitor goes away: `return` of its iterator is called. Without it, as in workerd, it is
   * left as it is, with all that it holds.
   */
  readonly cancel: boolean
  /**
   * A handler whose visitor went away is waited for, and what it changes then is stored. Without it, as in React Router, the
   * commit comes when the visitor goes: from then on `set` is refused with `ERR_COMMITTED`, and `update` works.
   */
  readonly finishHandler: boolean
  /**
   * What a handler changed before it threw is stored, and the cookie leaves with the framework's own answer to the error.
   * Without it such changes are dropped, except for what `save`, `update` and `terminate` have stored already.
   */
  readonly commitOnError: boolean
  /** The framework answers an error with the error's `status`: 503 where a session can't be read. Without it, with 500. */
  readonly errorStatus: boolean
  /** `getSession()` and `sessions.current()` find the session of the request. Without it they reject `ERR_NO_REQUEST`. */
  readonly asyncContext: boolean
}

const ALL: HttpCapabilities = {
  cookie: true,
  headers: true,
  stream: true,
  cancel: true,
  finishHandler: true,
  commitOnError: true,
  errorStatus: true,
  asyncContext: true,
}

/** All that are not declared to be missing. Throws `ERR_CONFIG` for a name or a value that means nothing. */
export function checkCapabilities(declared: Partial<HttpCapabilities>): HttpCapabilities {
  const problems = Object.entries(declared).flatMap(([name, value]: [string, unknown]) => {
    if (!Object.hasOwn(ALL, name)) return [`capabilities.${name} ${unknownOption(name, Object.keys(ALL))}`]
    return typeof value === 'boolean' ? [] : [`capabilities.${name} must be true or false, not ${shown(value)}`]
  })
  if (problems.length > 0) throw new ConfigError('httpScenario()', problems)
  return { ...ALL, ...declared }
}
