/*
 * Compiled beside the example's routes, never run: that the adapter, which imports nothing of React Router, fits its types.
 * `tsc` fails if a line marked `@ts-expect-error` compiles, or if any other does not.
 */
import type { MiddlewareFunction, SessionData, SessionStorage } from 'react-router'
import type { Sessions } from 'vishnu'
import { sessionMiddleware, sessionStorage } from 'vishnu/react-router'

interface Data {
  user: string
  cart: string[]
}

interface Flash {
  notice: string
}

export function fitting(sessions: Sessions<Data>, untyped: Sessions<SessionData>): unknown[] {
  const middleware: MiddlewareFunction<Response> = sessionMiddleware(sessions)
  const typed: SessionStorage<Data> = sessionStorage(sessions)
  const flashing: SessionStorage<Data, Flash> = sessionStorage<Data, Flash>(sessions)
  const loose: SessionStorage = sessionStorage(untyped)
  return [middleware, typed, flashing, loose]
}

export async function using(sessions: Sessions<Data>): Promise<unknown[]> {
  const { getSession, commitSession, destroySession } = sessionStorage<Data, Flash>(sessions)
  const session = await getSession(null)
  const user: string | undefined = session.get('user')
  const notice: string | undefined = session.get('notice')
  // @ts-expect-error -- a number is no user
  session.set('user', 5)
  // @ts-expect-error -- a notice is flashed, not set
  session.set('notice', 'hello')
  const cookies: string[] = [await commitSession(session, { maxAge: 60 }), await destroySession(session)]
  return [user, notice, cookies]
}
