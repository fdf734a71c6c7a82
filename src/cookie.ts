import { stringifySetCookie } from 'cookie'

/** What a cookie is sent with. `domain` undefined and `path` empty leave the attribute out. */
export interface CookieAttributes {
  readonly name: string
  readonly domain: string | undefined
  readonly path: string
  readonly secure: boolean
  readonly httpOnly: boolean
  readonly sameSite: 'lax' | 'strict' | 'none' | 'omit'
  readonly partitioned: boolean
  readonly priority: 'low' | 'medium' | 'high' | undefined
}

/** Browsers ignore a cookie whose name and value together are longer (RFC 6265bis, section 5.6). */
export const MAX_COOKIE_BYTES = 4096
/** Browsers cap a cookie's life at 400 days (RFC 6265bis, section 5.5). */
export const MAX_COOKIE_SECONDS: number = 400 * 86_400

/**
 * All values that a Cookie header holds under a name, in the header's order, each once. Written by hand since no parser
 * shows duplicates, and a planted duplicate must not hide ours. Never throws: whatever else is in the header is not ours.
 *
 * Reads also what Python's parser reads: values in quotes, and the comma of RFC 2965 as a separator. Not for a prefixed
 * name, though: `__Host-` is the browser's word on who set a cookie, and it holds only if the header is read as the
 * browser wrote it; `x="1, __Host-id=…"` is one cookie that any subdomain may set.
 */
export function findCookies(header: string | undefined, name: string): string[] {
  if (header === undefined || !header.includes(name)) return []
  // A set: where a server allows long headers, a list would compare thousands of planted ones with each other.
  const found = new Set<string>()
  const isPrefixed = name.startsWith('__')
  const hasCommas = !isPrefixed && header.includes(',')
  for (const pair of header.split(hasCommas ? /[;,]/ : ';')) {
    const equals = pair.indexOf('=')
    if (equals === -1 || trimBlanks(pair.slice(0, equals)) !== name) continue
    let value = trimBlanks(pair.slice(equals + 1))
    if (!isPrefixed && value.length > 1 && value.startsWith('"') && value.endsWith('"')) value = value.slice(1, -1)
    if (value !== '') found.add(value)
  }
  return [...found]
}

/** Only space and tab (RFC 6265bis, section 5.6): `trim` would strip Unicode blanks too and let ` __Host-id` pass. */
function trimBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** The header that sets our cookie. `seconds` of life, or none for a cookie that ends with the browser session. */
export function setCookie(
  attributes: CookieAttributes,
  value: string,
  seconds: number | undefined,
  now: number,
): string {
  if (seconds === undefined) return write(attributes, value)
  return write(attributes, value, { maxAge: seconds, expires: new Date(now + seconds * 1000) })
}

/** The header that removes our cookie: a browser matches name, domain, path and partition, so all are repeated. */
export function clearCookie(attributes: CookieAttributes): string {
  return write(attributes, '', { maxAge: 0, expires: new Date(0) })
}

function write(attributes: CookieAttributes, value: string, life?: { maxAge: number; expires: Date }): string {
  const { domain, priority, sameSite, ...rest } = attributes
  return stringifySetCookie(
    {
      ...rest,
      value,
      ...life,
      ...(domain && { domain }),
      ...(priority && { priority }),
      ...(sameSite !== 'omit' && { sameSite }),
    },
    { encode: (text) => text },
  )
}
