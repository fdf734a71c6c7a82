import { randomFillSync } from 'node:crypto'
import type { Backend, PlainBackend } from './backend.js'
import { type CookieAttributes, MAX_COOKIE_BYTES } from './cookie.js'
import type { Dialect, DialectFactory, RandomSource } from './dialect.js'
import { nativeDialect } from './dialects/native.js'
import { ConfigError, isWholeNumber } from './errors.js'
import { createReporter, type EventListener, type Report } from './events.js'
import { type Layout, layoutOf } from './layout.js'
import { OptionReader } from './option-reader.js'

/** The options of `createSessions`. Wrong ones throw `ERR_CONFIG` at once, all problems together. */
export interface SessionsOptions {
  /**
   * Signs the cookie. At least 32 characters (Unicode code points), from a secure random source. A list rotates: the first
   * signs, all (at most 8) open. Changing it logs everybody out; putting a new one in front logs nobody out. Undefined is
   * allowed by the type only, for `process.env`: it throws at start.
   */
  secret: string | readonly string[] | undefined
  /** Where sessions are kept, for example `redis()` or `memory()`. */
  backend: Backend | PlainBackend
  /**
   * How sessions are written down: for example `vishnuPython()`, to share them with a Python application. It needs a backend
   * with `layout: 'plain'`. Default: the library's own way.
   */
  dialect?: DialectFactory | undefined
  /** Sessions of other applications, which are carried over when their visitors come. Default: none. */
  accept?: readonly AcceptOptions[] | undefined
  /** Default `vishnu`. With the prefix `__Host-` browsers accept the cookie from this very host only. */
  cookieName?: string | undefined
  /** Encrypts the cookie (AES-256-GCM) as well. Rules as for `secret`. A cookie that was only signed still opens. */
  encryptKey?: string | readonly string[] | undefined
  /** Whether browsers send the cookie over HTTPS (and to localhost) only. Default true. */
  secure?: boolean | undefined
  /** Shares the cookie with all subdomains of this domain. Default: this host only. */
  domain?: string | undefined
  /** The cookie's path. Default `/`; the empty string leaves the attribute out. */
  path?: string | undefined
  /** Whether scripts in the page are kept from the cookie. Default true. */
  httpOnly?: boolean | undefined
  /**
   * Default `lax`. `none` needs `secure`. Always sent, since browsers' own defaults differ; only with a `dialect` it may be
   * `omit`, for cookies exactly like those of the other side.
   */
  sameSite?: 'lax' | 'strict' | 'none' | 'omit' | undefined
  /** Gives every embedding site a cookie of its own (CHIPS). Needs `secure`. Default false. */
  partitioned?: boolean | undefined
  /** Which cookies Chromium evicts last. Default: not sent. */
  priority?: 'low' | 'medium' | 'high' | undefined
  /** Whether changes are stored when the response begins. Default false: only `save()` and `update()` store. */
  autoSave?: boolean | undefined
  /**
   * Seconds of idleness after which a session ends; every use moves the end. 0, the default: the cookie ends with the
   * browser session, and the record after `browserSessionTimeout`.
   */
  timeout?: number | undefined
  /** Seconds after which a session ends however busy it is. 0, the default: never. */
  absoluteTimeout?: number | undefined
  /** Seconds of idleness after which a session without a timeout ends. Default 86,400 (one day). */
  browserSessionTimeout?: number | undefined
  /**
   * Seconds between two prolongations of a session that is only read: it may end up to this much early, never late.
   * Default: 60, or a tenth of the timeout if that is less. 0: every time.
   */
  touchInterval?: number | undefined
  /** Milliseconds that opening, committing and every verb may each wait for the backend. Default 2,000. */
  backendTimeout?: number | undefined
  /** Told of what an operator may want to know. By default only what needs mending is a process warning, each kind once. */
  onEvent?: EventListener | undefined
  /** Epoch milliseconds. Default `Date.now`. */
  clock?: (() => number) | undefined
  /** That many random bytes. Default: the platform's secure source. Anything less is for tests only. */
  random?: RandomSource | undefined
}

/** Where sessions come from that are carried over. */
export interface AcceptOptions {
  /** Their backend. */
  backend: Backend | PlainBackend
  /** How they are written down. Default: the library's own way. */
  dialect?: DialectFactory | undefined
  /** The name of their cookie. Default: the same. */
  cookieName?: string | undefined
  /** Opens their cookies. Default: `secret` and `encryptKey` of these sessions. */
  secret?: string | readonly string[] | undefined
  /** Goes with `secret`. Default: none, if `secret` is given here. */
  encryptKey?: string | readonly string[] | undefined
}

/** What `sessions.deleteExpiredSessions` removes. */
export interface CleanupOptions {
  /** Seconds after its last use for which a record that has no end is kept. Only plain layouts have such. Default 86,400. */
  dormantFor?: number | undefined
  /** How many to remove at most. Default 500. */
  limit?: number | undefined
}

/** The options after checking: complete, in the units the core works in. */
export interface Settings extends Keeping {
  /** For each kind of accepted sessions the settings as they would be if it were the application's own. */
  readonly accept: readonly Settings[]
  readonly cookie: CookieAttributes
  readonly autoSave: boolean
  /** Seconds; 0 for none. */
  readonly timeout: number
  readonly absoluteTimeout: number
  readonly browserSessionTimeout: number
  readonly touchInterval: number | undefined
  readonly backendTimeout: number
  readonly now: () => number
  readonly random: RandomSource
  readonly report: Report
}

interface Keeping {
  readonly backend: Backend | PlainBackend
  readonly dialect: Dialect
  readonly layout: Layout
}

/** 100 years: deadlines then keep to 13 digits, which is what backends reserve for them. */
export const MAX_TIMEOUT_SECONDS: number = 100 * 365 * 86_400
/** What a timer can wait for without overflowing, and far more than any visitor does. */
const MAX_BACKEND_TIMEOUT = 600_000

/** Whether this is a number of seconds that a session can be given. */
export function isTimeout(value: unknown): value is number {
  return isWholeNumber(value, 0, MAX_TIMEOUT_SECONDS)
}

export function checkOptions(options: SessionsOptions): Settings {
  const problems: string[] = []
  const read = new OptionReader(options, problems)

  const secrets = read.secrets('secret')
  if (secrets.length === 0 && problems.length === 0)
    problems.push('secret is missing: pass at least 32 random characters')
  const encryptKeys = read.secrets('encryptKey')
  const factory = read.function<DialectFactory>('dialect', nativeDialect)
  const sameSites = ['lax', 'strict', 'none', ...(factory === nativeDialect ? [] : ['omit' as const])] as const
  const cookie: CookieAttributes = {
    name: readCookieName(read, 'vishnu'),
    domain: read.text('domain', undefined, DOMAIN, 'be a domain name such as example.com'),
    path: read.text('path', '/', PATH, 'be empty or begin with / and hold neither ; nor < nor control characters'),
    secure: read.flag('secure', true),
    httpOnly: read.flag('httpOnly', true),
    sameSite: read.choice('sameSite', sameSites, 'lax'),
    partitioned: read.flag('partitioned', false),
    priority: read.choice('priority', ['low', 'medium', 'high'], undefined),
  }
  checkCombinations(cookie, problems)

  const clock = read.function('clock', Date.now)
  const ownRandom = read.function<RandomSource | undefined>('random', undefined)
  const random = ownRandom ?? pooledRandom()
  const own = { factory, backend: read.backend('backend'), cookieName: cookie.name, secrets, encryptKeys }
  const accepted = read.list('accept').map((item) => readAccepted(item, own))
  const settings = {
    autoSave: read.flag('autoSave', false),
    timeout: read.integer('timeout', 0, 0, MAX_TIMEOUT_SECONDS, 'seconds'),
    absoluteTimeout: read.integer('absoluteTimeout', 0, 0, MAX_TIMEOUT_SECONDS, 'seconds'),
    browserSessionTimeout: read.integer('browserSessionTimeout', 86_400, 1, MAX_TIMEOUT_SECONDS, 'seconds'),
    touchInterval: read.integer('touchInterval', undefined, 0, MAX_TIMEOUT_SECONDS, 'seconds'),
    backendTimeout: read.integer('backendTimeout', 2000, 1, MAX_BACKEND_TIMEOUT, 'milliseconds'),
    report: createReporter(read.function('onEvent', undefined)),
  }
  read.refuseUnknown()
  // The platform's own need not be tried, and Workers forbid random values where createSessions() is called, at module scope.
  if (problems.length === 0 && ownRandom && random(1).length !== 1)
    problems.push('random must return as many bytes as it is asked for')
  if (problems.length > 0) throw new ConfigError('createSessions', problems)

  const keeping = keepingOf(own, random)
  if (keeping.dialect.layout === 'plain' && settings.absoluteTimeout > 0) {
    throw new ConfigError('createSessions', ["absoluteTimeout has no place in this dialect's records: leave it out"])
  }
  // Nothing random in the sample, for the same reason.
  const sample = factory({ secrets, encryptKeys, cookieName: cookie.name, random: (size) => new Uint8Array(size) })
  const bytes = cookie.name.length + sample.seal(sample.newId(), 0).length
  if (bytes > MAX_COOKIE_BYTES) {
    throw new ConfigError('createSessions', [
      `cookieName is too long: the cookie would have ${bytes} bytes, and browsers drop one of more than ${MAX_COOKIE_BYTES}`,
    ])
  }
  // A clock with fractions, such as performance.now(), is fine: deadlines are whole milliseconds.
  const complete = { ...settings, ...keeping, accept: [], cookie, random, now: () => Math.trunc(clock()) }
  const accept = accepted.map((one, index) => ({
    ...complete,
    // Begins when they are carried over, unless their records say otherwise.
    absoluteTimeout: 0,
    ...keepingOf(one, random, `accept[${index}].`),
    cookie: { ...cookie, name: one.cookieName },
  }))
  return { ...complete, accept }
}

interface KeepingOptions {
  readonly factory: DialectFactory
  readonly backend: Backend | PlainBackend
  readonly cookieName: string
  readonly secrets: readonly string[]
  readonly encryptKeys: readonly string[]
}

function readAccepted(read: OptionReader, own: KeepingOptions): KeepingOptions {
  const [secrets, encryptKeys] = [read.secrets('secret'), read.secrets('encryptKey')]
  const isOwn = secrets.length === 0 && encryptKeys.length === 0
  const accepted = {
    factory: read.function<DialectFactory>('dialect', nativeDialect),
    backend: read.backend('backend'),
    cookieName: readCookieName(read, own.cookieName),
    secrets: secrets.length === 0 ? own.secrets : secrets,
    encryptKeys: isOwn ? own.encryptKeys : encryptKeys,
  }
  read.refuseUnknown()
  return accepted
}

function readCookieName(read: OptionReader, fallback: string): string {
  return read.text('cookieName', fallback, COOKIE_NAME, "be a cookie name: letters, digits and !#$%&'*+-.^_`|~")
}

function keepingOf({ factory, backend, ...options }: KeepingOptions, random: RandomSource, place = ''): Keeping {
  const dialect = factory({ ...options, random })
  const layout = layoutOf(dialect, backend)
  if (layout) return { dialect, backend, layout }
  const misfits = {
    plain: "backend must keep this dialect's records bare: pass it layout: 'plain', as in redis({ layout: 'plain' })",
    native:
      "backend has layout: 'plain', which only dialects such as vishnuPython() use: leave layout out, or pass one",
  }
  const isHalfNdb = dialect.layout === 'plain' && backend.layout === 'plain'
  const problem = isHalfNdb
    ? "vishnuPython({ format: 'ndb' }) and appEngineNdb() need each other"
    : (misfits[dialect.layout] ?? 'dialect must be made by its function, as in dialect: vishnuPython()')
  throw new ConfigError('createSessions', [place + problem])
}

export function checkCleanupOptions(options: CleanupOptions): { dormantFor: number; limit: number } {
  const problems: string[] = []
  const read = new OptionReader(options, problems)
  const checked = {
    dormantFor: read.integer('dormantFor', 86_400, 0, MAX_TIMEOUT_SECONDS, 'seconds'),
    limit: read.integer('limit', 500, 1, Number.MAX_SAFE_INTEGER, 'sessions'),
  }
  read.refuseUnknown()
  if (problems.length > 0) throw new ConfigError('deleteExpiredSessions', problems)
  return checked
}

/** The settings of each `Sessions`, for the command line. Kept apart from the object, so that no application sees them. */
export const settingsOf: WeakMap<object, Settings> = new WeakMap()

/** A token (RFC 9110, section 5.6.2). */
const COOKIE_NAME = /^[\w!#$%&'*+\-.^`|~]+$/
/** Host labels (RFC 1034, section 3.5); a leading dot is ignored by browsers. */
const DOMAIN = /^\.?[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)*$/i
/** Browsers ignore an attribute of more than 1024 bytes (RFC 6265bis, section 5.6). */
const PATH = /^(\/[\x20-\x3a\x3d-\x7e]{0,1023})?$/

/** What browsers refuse, so that it is refused here, at start, and not by a visitor's browser without a word. */
function checkCombinations(cookie: CookieAttributes, problems: string[]): void {
  // Browsers compare the prefixes without regard to case (RFC 6265bis, section 5.6).
  const prefix = /^__(host-http|host|secure|http)-/i.exec(cookie.name)
  if (prefix) {
    const [text, kind = ''] = [prefix[0], prefix[1]?.toLowerCase()]
    if (!cookie.secure) problems.push(`a cookieName with ${text} needs secure: true`)
    if (kind.startsWith('host') && cookie.domain !== undefined)
      problems.push(`a cookieName with ${text} allows no domain`)
    if (kind.startsWith('host') && cookie.path !== '/') problems.push(`a cookieName with ${text} needs path: '/'`)
    if (kind.endsWith('http') && !cookie.httpOnly) problems.push(`a cookieName with ${text} needs httpOnly: true`)
  }
  if (cookie.sameSite === 'none' && !cookie.secure) problems.push("sameSite: 'none' needs secure: true")
  if (cookie.partitioned && !cookie.secure) problems.push('partitioned: true needs secure: true')
}

/** Drawing 18 bytes at a time from the system costs ten times as much as from a pool (2.5 µs against 0.2). */
function pooledRandom(): RandomSource {
  const pool = new Uint8Array(8192)
  let used = pool.length
  return (size) => {
    if (size > pool.length) return randomFillSync(new Uint8Array(size))
    if (used + size > pool.length) {
      randomFillSync(pool)
      used = 0
    }
    const bytes = pool.slice(used, used + size)
    pool.fill(0, used, used + size)
    used += size
    return bytes
  }
}
