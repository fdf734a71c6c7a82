import type { Report } from './events.js'

/** What an adapter does to a response before its first byte: replace these headers, add those. */
export interface ResponseHeaders {
  /** Lower-case names, and the values that take the place of the response's own. */
  set: [name: string, value: string][]
  /** Headers to add to what is there: our Set-Cookie. */
  append: [name: string, value: string][]
}

/** A response's own header by its lower-case name; several values are joined by a comma. */
export type ReadHeader = (name: string) => string | undefined

/**
 * The headers of a response whose handler has consulted the session. It is then one visitor's page: no shared cache may
 * serve it to another (RFC 9111), least of all together with that visitor's cookie, which caches do store (section 7.3).
 */
export function responseHeaders(setCookies: readonly string[], header: ReadHeader, report: Report): ResponseHeaders {
  const headers: ResponseHeaders = { set: [], append: [] }
  const vary = header('vary')
  if (!listHas(vary, '*') && !listHas(vary, 'cookie')) headers.set.push(['vary', vary ? `${vary}, Cookie` : 'Cookie'])

  const cacheControl = header('cache-control')
  if (setCookies.length === 0) {
    if (!cacheControl) headers.set.push(['cache-control', 'private, no-cache'])
    return headers
  }
  if (!listHas(cacheControl, 'no-store') && !listHas(cacheControl, 'private')) {
    if (cacheControl) {
      report(
        'insecure',
        `Cache-Control: ${cacheControl} would let a shared cache hand a visitor's session cookie to others; it was replaced by no-store. Send private or no-store with pages that use the session.`,
      )
    }
    headers.set.push(['cache-control', 'no-store'])
  }
  for (const setCookie of setCookies) headers.append.push(['set-cookie', setCookie])
  return headers
}

function listHas(list: string | undefined, directive: string): boolean {
  return list?.split(',').some((item) => item.trim().toLowerCase() === directive) ?? false
}
