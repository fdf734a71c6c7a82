import { isIP } from 'node:net'

export interface StoredCookie {
  readonly name: string
  readonly value: string
  readonly domain: string
  /** True without a Domain attribute: the cookie never goes to a subdomain. */
  readonly hostOnly: boolean
  readonly path: string
  readonly secure: boolean
  readonly httpOnly: boolean
  readonly sameSite: string | undefined
  /** Milliseconds; undefined for a cookie that lasts until the browser is closed. */
  readonly expiresAt: number | undefined
}

const dayMilliseconds = 24 * 60 * 60 * 1000
const longestLifetime = 400 * dayMilliseconds

/** Keeps cookies by the rules of RFC 6265bis, without public suffixes and without SameSite enforcement. */
export class CookieJar {
  readonly #now: () => number
  // A Map keeps the place of a key that is set again, and with it the creation order that the Cookie header needs.
  readonly #cookies: Map<string, StoredCookie>

  constructor(now: () => number = Date.now, cookies: Iterable<readonly [string, StoredCookie]> = []) {
    this.#now = now
    this.#cookies = new Map(cookies)
  }

  clone(): CookieJar {
    return new CookieJar(this.#now, this.#cookies)
  }

  clear(): void {
    this.#cookies.clear()
  }

  /** Every cookie that has not expired, oldest first. */
  all(): StoredCookie[] {
    const now = this.#now()
    return [...this.#cookies.values()].filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now)
  }

  /** What a browser would send to this address, in sending order. */
  cookiesFor(url: URL): StoredCookie[] {
    const sent = this.all().filter(
      (cookie) =>
        (cookie.hostOnly ? hostOf(url) === cookie.domain : domainMatches(hostOf(url), cookie.domain)) &&
        pathMatches(url.pathname, cookie.path) &&
        (!cookie.secure || isTrustworthy(url)),
    )
    return sent.toSorted((one, other) => other.path.length - one.path.length)
  }

  /** undefined where a browser would send no Cookie header. */
  header(url: URL): string | undefined {
    const pairs = this.cookiesFor(url).map(({ name, value }) => `${name}=${value}`)
    return pairs.length === 0 ? undefined : pairs.join('; ')
  }

  /** Takes one Set-Cookie line, or ignores it where a browser would. */
  store(line: string, url: URL): void {
    const cookie = this.#read(line, url)
    if (cookie === undefined) return
    const identity = JSON.stringify([cookie.name, cookie.domain, cookie.hostOnly, cookie.path])
    if (cookie.expiresAt !== undefined && cookie.expiresAt <= this.#now()) this.#cookies.delete(identity)
    else this.#cookies.set(identity, cookie)
  }

  #read(line: string, url: URL): StoredCookie | undefined {
    const [pair = '', ...attributeTexts] = line.split(';')
    const { name, value } = splitPair(pair)
    if (name === '' || name.length + value.length > 4096 || hasControlCharacter(line)) return undefined

    const attributes = readAttributes(attributeTexts)
    const domain = (attributes.get('domain') ?? '').replace(/^\./, '').toLowerCase()
    const path = attributes.get('path') ?? ''
    const cookie: StoredCookie = {
      name,
      value,
      domain: domain === '' ? hostOf(url) : domain,
      hostOnly: domain === '',
      path: path.startsWith('/') ? path : defaultPath(url),
      secure: attributes.has('secure'),
      httpOnly: attributes.has('httponly'),
      sameSite: attributes.get('samesite'),
      expiresAt: this.#deadline(attributes),
    }
    const isForeign = !domainMatches(hostOf(url), cookie.domain)
    const isForbiddenSecure = cookie.secure && !isTrustworthy(url)
    return isForeign || isForbiddenSecure || breaksPrefix(cookie, attributes) ? undefined : cookie
  }

  /** Max-Age wins over Expires, and what cannot be read counts as absent. */
  #deadline(attributes: ReadonlyMap<string, string>): number | undefined {
    const now = this.#now()
    const maxAge = attributes.get('max-age') ?? ''
    if (/^-?\d+$/.test(maxAge)) return now + Math.min(Number(maxAge) * 1000, longestLifetime)
    const expires = Date.parse(attributes.get('expires') ?? '')
    return Number.isNaN(expires) ? undefined : Math.min(expires, now + longestLifetime)
  }
}

/** Of the same attribute twice, the last one counts. */
function readAttributes(texts: readonly string[]): Map<string, string> {
  const attributes = new Map<string, string>()
  for (const text of texts) {
    const [name = '', ...value] = text.split('=')
    attributes.set(name.trim().toLowerCase(), value.join('=').trim())
  }
  return attributes
}

/** A pair without "=" has a value and no name. */
function splitPair(pair: string): { name: string; value: string } {
  const equals = pair.indexOf('=')
  return { name: pair.slice(0, Math.max(equals, 0)).trim(), value: pair.slice(equals + 1).trim() }
}

function hasControlCharacter(text: string): boolean {
  return Array.from(text).some((character) => (character < ' ' && character !== '\t') || character === '\u007f')
}

function breaksPrefix(cookie: StoredCookie, attributes: ReadonlyMap<string, string>): boolean {
  const name = cookie.name.toLowerCase()
  if (name.startsWith('__secure-')) return !cookie.secure
  if (name.startsWith('__host-')) return !cookie.secure || !cookie.hostOnly || attributes.get('path') !== '/'
  return false
}

function hostOf(url: URL): string {
  return url.hostname.toLowerCase()
}

function domainMatches(host: string, domain: string): boolean {
  return host === domain || (host.endsWith(`.${domain}`) && isIP(host) === 0)
}

function pathMatches(requested: string, path: string): boolean {
  return requested === path || requested.startsWith(path.endsWith('/') ? path : `${path}/`)
}

/** The folder of the address that set the cookie. */
function defaultPath(url: URL): string {
  return url.pathname.slice(0, url.pathname.lastIndexOf('/')) || '/'
}

/** Browsers trust a plain connection that cannot leave the machine, and so send Secure cookies over it. */
export function isTrustworthy(url: URL): boolean {
  return url.protocol === 'https:' || isLoopback(url)
}

export function isLoopback(url: URL): boolean {
  const host = hostOf(url)
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host)
}
