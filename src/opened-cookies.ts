import { findCookies } from './cookie.js'
import type { Dialect, OpenedCookie } from './dialect.js'

/** What a request's cookies of one name turn out to be. */
export interface OpenedCookies {
  /** The one that counts. A planted one, before or behind it, changes nothing. */
  readonly opened: OpenedCookie | undefined
  /** How many there are, those included that nobody of ours has sealed. */
  readonly count: number
  readonly isAnyRejected: boolean
  /** Whether several are valid that lead to different sessions. */
  readonly isAmbiguous: boolean
}

export function openCookies(header: string | undefined, name: string, dialect: Dialect): OpenedCookies {
  const texts = findCookies(header, name)
  const valid = texts.map((text) => dialect.open(text)).filter((opened) => opened !== undefined)
  const opened = dialect.duplicates === 'first' ? valid[0] : valid.at(-1)
  return {
    opened,
    count: texts.length,
    isAnyRejected: valid.length < texts.length,
    isAmbiguous: valid.some(({ id }) => id !== opened?.id),
  }
}
