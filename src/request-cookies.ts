import type { CarryOver, ForeignCookie } from './carry-over.js'
import type { Settings } from './config.js'
import type { OpenedCookie } from './dialect.js'
import { openCookies } from './opened-cookies.js'

/** What a request's cookies say about its session. */
export interface RequestCookies {
  readonly own: OpenedCookie | undefined
  /** Another application's, where there is none of ours. */
  readonly foreign: ForeignCookie | undefined
  /** The names of the session cookies that the browser has. */
  readonly names: readonly string[]
}

export function readCookies(header: string | undefined, settings: Settings, carryOver: CarryOver): RequestCookies {
  const { cookie, dialect, report } = settings
  const { opened: own, count, isAnyRejected, isAmbiguous } = openCookies(header, cookie.name, dialect)
  const foreign = own ? undefined : carryOver.open(header)
  const isOldName = foreign !== undefined && foreign.name !== cookie.name
  if (isAnyRejected && (!foreign || isOldName)) {
    report('rejectedCookie', 'A session cookie was not sealed by us, or was damaged.')
  }
  if (isAmbiguous) {
    const which = dialect.duplicates
    report('duplicateCookie', `A request carried two different valid session cookies; the ${which} one counts.`)
  }
  const names = count > 0 ? [cookie.name] : []
  if (isOldName) names.push(foreign.name)
  return { own, foreign, names }
}
