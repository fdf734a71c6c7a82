/**
 * The codes are part of the public interface: they change only in a major version, the messages at any time.
 *
 * | code | thrown when |
 * | --- | --- |
 * | `ERR_CONFIG` | the options of `createSessions` or of a backend are wrong; `problems` lists every one of them |
 * | `ERR_CLIENT_MISSING` | a backend's client library is not installed |
 * | `ERR_NO_MIDDLEWARE` | `sessions.get(req)` for a request that no adapter of these sessions has seen |
 * | `ERR_NO_REQUEST` | `getSession()` or `sessions.current()` outside a request; App Engine's memcache outside `withAppEngineTicket` |
 * | `ERR_KEY`, `ERR_VALUE`, `ERR_TIMEOUT` | a key, a value or a timeout that can't be stored (a `TypeError`) |
 * | `ERR_COMMITTED` | a change after the response's headers were sent |
 * | `ERR_SESSION_GONE` | `save` or `update` on a session that was logged out, rotated away or expired meanwhile |
 * | `ERR_TOO_LARGE` | the session exceeds what the backend can hold |
 * | `ERR_BACKEND` | the backend failed, did not answer in time, or answered with another session's record |
 * | `ERR_BACKEND_FULL` | the memory backend holds as many live sessions as it may |
 * | `ERR_RECORD` | one stored value can't be read |
 * | `ERR_ORIGIN` | a page of another origin asks for a socket |
 */
export type SessionErrorCode =
  | 'ERR_CONFIG'
  | 'ERR_CLIENT_MISSING'
  | 'ERR_NO_MIDDLEWARE'
  | 'ERR_NO_REQUEST'
  | 'ERR_KEY'
  | 'ERR_VALUE'
  | 'ERR_TIMEOUT'
  | 'ERR_COMMITTED'
  | 'ERR_SESSION_GONE'
  | 'ERR_TOO_LARGE'
  | 'ERR_BACKEND'
  | 'ERR_BACKEND_FULL'
  | 'ERR_RECORD'
  | 'ERR_ORIGIN'

/** The HTTP status of an error nobody caught: an outage is 503 so that clients and load balancers try again. */
const statuses: Partial<Record<SessionErrorCode, number>> = {
  ERR_BACKEND: 503,
  ERR_BACKEND_FULL: 503,
  ERR_SESSION_GONE: 409,
  ERR_ORIGIN: 403,
}

/** Every error of this library, but for wrong arguments, which are {@link SessionTypeError}s. */
export class SessionError extends Error {
  /** Stable: program against this, not against the message. */
  readonly code: SessionErrorCode
  /** What an uncaught one should be answered with. */
  readonly status: number
  /** The same: frameworks look for either name. */
  readonly statusCode: number
  /** As in `http-errors`: the message is for the log, not for the visitor. NestJS 12 believes the status of no other errors. */
  readonly expose: boolean = false

  constructor(code: SessionErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SessionError'
    this.code = code
    this.status = this.statusCode = statuses[code] ?? 500
  }
}

/** Thrown at start, with all the problems at once. */
export class ConfigError extends SessionError {
  /** One sentence for each problem, saying what to change. */
  readonly problems: readonly string[]

  constructor(subject: string, problems: readonly string[]) {
    super('ERR_CONFIG', `${subject}: ${problems.join('; ')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** A value as an error message shows it. Never a text: it may be a secret in the wrong place, or a URL with a password. */
export function describeValue(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return `a string of length ${value.length}`
  if (typeof value === 'object' || typeof value === 'function') return `a value of type ${typeof value}`
  return typeof value === 'symbol' ? 'a symbol' : `${value as number | bigint | boolean | undefined}`
}

/** How much of a place is told. */
const MOST_STEPS = 8
const PLAIN_WORDS = /^[A-Za-z_$ ]{1,30}$/

/**
 * A place inside a value, as an error message shows it. A property's name is told if it is made of plain words. Else it may
 * be the visitor's data: objects are kept by e-mail address, by id and by token, too.
 */
export function describePlace(path: readonly (string | number)[]): string {
  if (path.length === 0) return ''
  const steps = path
    .slice(0, MOST_STEPS)
    .map((step) => (typeof step === 'number' || PLAIN_WORDS.test(step) ? `[${JSON.stringify(step)}]` : '[…]'))
  return `, at ${steps.join('')}`
}

/** What is wrong with an option that there is none of, and which one was probably meant. */
export function unknownOption(name: string, known: Iterable<string>): string {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[_-]/g, '')
  const meant = [...known].find((candidate) => plain(candidate) === plain(name))
  return `is not an option${meant ? `: did you mean ${meant}?` : ''}`
}

/** A problem for each of these that is no option: a misspelt one would otherwise be a default that nobody chose. */
export function unknownOptions(given: object, known: readonly string[]): string[] {
  const unknown = Object.keys(given).filter((name) => !known.includes(name))
  return unknown.map((name) => `${name} ${unknownOption(name, known)}`)
}

/** Whatever was thrown, in words. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** For checks of options. */
export function isWholeNumber(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
}

/** Whether this is a host's name or address. A URL is not: it may hold a password, and failing to look it up would tell it. */
export function isHost(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x2e\x30-\x3f\x41-\x7e]+$/.test(value)
}

/** Whether `require` failed because this package is not installed. One that is there may lack something of its own. */
export function isMissingPackage(error: unknown, name: string): boolean {
  const { code, message } = error as NodeJS.ErrnoException
  // Turbopack, the bundler of Next.js, calls what it can't find 'unknown'.
  return code === 'MODULE_NOT_FOUND' && (message.includes(`'${name}'`) || message.includes("'unknown'"))
}

/** A key, value or timeout that can't be stored. Thrown by the call that passed it; nothing has changed. */
export class SessionTypeError extends TypeError {
  /** Stable: program against this, not against the message. */
  readonly code: SessionErrorCode
  /** What an uncaught one should be answered with: it is the application's mistake. */
  readonly status: number = 500
  /** The same: frameworks look for either name. */
  readonly statusCode: number = 500
  /** The message is for the log, not for the visitor. */
  readonly expose: boolean = false

  constructor(code: 'ERR_KEY' | 'ERR_VALUE' | 'ERR_TIMEOUT', message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SessionTypeError'
    this.code = code
  }
}
