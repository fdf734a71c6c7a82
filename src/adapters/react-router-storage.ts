import { ConfigError, SessionError, SessionTypeError } from '../errors.js'
import type { Sessions, Visit } from '../sessions.js'
import { type AnySession, type RouterSession, routerSession } from './react-router-session.js'

/** React Router's `SessionStorage`. */
export interface RouterSessionStorage<Data, FlashData = Data> {
  /** @throws `ERR_BACKEND` if the session can't be read. */
  getSession: (cookieHeader?: string | null) => Promise<RouterSession<Data, FlashData>>
  /**
   * Stores what was changed, whatever `autoSave`; drops it if the session has ended meanwhile. Resolves to the Set-Cookie
   * header, which is empty, and ignored by browsers, where the browser has the right cookie. From then on changes throw.
   *
   * @param options `maxAge`: the session's `timeout` from now on, in seconds; 0 ends it. Others are refused: `ERR_CONFIG`.
   */
  commitSession: (session: object, options?: { readonly maxAge?: number | undefined }) => Promise<string>
  /** Ends the session for good, and resolves to the Set-Cookie header that removes the cookie. */
  destroySession: (session: object) => Promise<string>
}

/**
 * What React Router's `createSessionStorage` returns, for applications that commit by hand; it needs no middleware. Requests
 * that overlap keep each other's changes, and a session that was destroyed stays so.
 */
export function sessionStorage<Data extends object, FlashData = Data>(
  sessions: Sessions<Data>,
): RouterSessionStorage<Data, FlashData> {
  const visits = new WeakMap<object, Visit<Data>>()

  async function finish(handed: object, act: (session: AnySession) => Promise<void>): Promise<string> {
    const visit = visits.get(handed)
    if (!visit)
      throw new SessionTypeError('ERR_VALUE', 'a session to commit or destroy is one that getSession returned')
    await act((await visit.session()) as unknown as AnySession)
    const { append } = await sessions.commit(visit, () => undefined)
    return append[0]?.[1] ?? ''
  }

  return {
    getSession: async (cookieHeader) => {
      const visit = sessions.open(cookieHeader ?? undefined)
      const session = routerSession((await visit.session()) as unknown as AnySession)
      visits.set(session, visit)
      return session as RouterSession<Data, FlashData>
    },
    commitSession: (handed, { maxAge, ...others } = {}) =>
      finish(handed, async (session) => {
        const refused = Object.entries(others).filter(([, value]) => value !== undefined)
        if (refused.length > 0)
          throw new ConfigError(
            'commitSession()',
            refused.map(([name]) => `${name} ${NOT_HERE}`),
          )
        if (maxAge === 0) return session.terminate()
        if (maxAge !== undefined) session.timeout = maxAge
        if (session.needsSave) await session.save().catch(unlessGone)
      }),
    destroySession: (handed) => finish(handed, (session) => session.terminate()),
  }
}

const NOT_HERE = 'is the same for all sessions: an option of createSessions, where expires is timeout'

function unlessGone(error: unknown): void {
  if (!(error instanceof SessionError && error.code === 'ERR_SESSION_GONE')) throw error
}
