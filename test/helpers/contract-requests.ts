import { createSessions, type Session, type Sessions, type SessionsOptions } from '../../src/index.js'
import { seededRandom } from './random.js'

export const secret = 'known to every server of these tests'

let servers = 0

/** One server of several that share a secret. Each draws its own ids, as real servers do. */
export function startServer(backend: SessionsOptions['backend'], options: Partial<SessionsOptions> = {}): Sessions {
  return createSessions({ secret, backend, random: seededRandom(`server ${servers++}`), onEvent: () => {}, ...options })
}

export interface Answer {
  readonly headers: ReadonlyMap<string, string>
  readonly setCookies: readonly string[]
  /** The Cookie header that a browser sends from now on, if this response sets one. */
  readonly cookie: string | undefined
}

/** A request that is being handled. */
export interface OpenRequest {
  readonly session: Session
  /** What the adapter does when the handler begins to respond. */
  readonly respond: (ownHeaders?: Readonly<Record<string, string>>) => Promise<Answer>
}

export async function begin(sessions: Sessions, cookie?: string): Promise<OpenRequest> {
  const visit = sessions.open(cookie)
  const session = await visit.session()
  return {
    session,
    respond: async (ownHeaders = {}) => {
      const { set, append } = await sessions.commit(visit, (name) => ownHeaders[name])
      const setCookies = append.filter(([name]) => name === 'set-cookie').map(([, line]) => line)
      const [line] = setCookies
      const issued = line === undefined || line.includes('Max-Age=0') ? undefined : line.split(';')[0]
      return { headers: new Map(set), setCookies, cookie: issued }
    },
  }
}

/** A whole request. */
export async function request(
  sessions: Sessions,
  cookie: string | undefined,
  handler: (session: Session) => unknown = () => undefined,
): Promise<Answer> {
  const { session, respond } = await begin(sessions, cookie)
  await handler(session)
  return respond()
}

/** A visitor's cookie, with these values stored behind it. */
export async function newVisitor(sessions: Sessions, values: Readonly<Record<string, unknown>>): Promise<string> {
  const { cookie } = await request(sessions, undefined, (session) => {
    for (const [key, value] of Object.entries(values)) session.set(key, value)
    return session.save()
  })
  if (cookie === undefined) throw new Error('A new session came without its cookie')
  return cookie
}

/** All values behind a cookie. */
export async function valuesOf(sessions: Sessions, cookie: string | undefined): Promise<Record<string, unknown>> {
  const { session } = await begin(sessions, cookie)
  return Object.fromEntries(session.entries())
}

/** How something ended, where it may fail: 'done', or the error's code. */
export async function endingOf(work: () => unknown): Promise<unknown> {
  try {
    await work()
    return 'done'
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
}

/** The same for what fails at once. */
export function codeOf(work: () => unknown): unknown {
  try {
    work()
    return 'done'
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
}
