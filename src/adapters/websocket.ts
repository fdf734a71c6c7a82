import { ConfigError, SessionError, unknownOptions } from '../errors.js'
import type { SessionEnd, Sessions, Visit } from '../sessions.js'
import { SocketSession } from './socket-session.js'

export type { SessionEnd, SocketSession }

/** The request that asks for a socket: Node's, as of `ws` and Socket.IO, or one of the fetch kind. */
export interface UpgradeRequest {
  readonly headers: Pick<Headers, 'get'> | HandshakeHeaders
}

interface HandshakeHeaders {
  readonly cookie?: string | undefined
  readonly origin?: string | undefined
  readonly host?: string | undefined
}

export interface SocketSessionOptions {
  /**
   * The origins, such as `https://shop.example`, whose pages may open sockets, besides pages from the host that the request
   * is for. Browsers let any page open a socket to anywhere, and may send cookies along (OWASP ASVS 5, 4.4.2).
   */
  origins?: readonly string[]
  /**
   * Seconds between two looks at the session, in case another process has ended it: one read each. What ends in this
   * process is told at once. Default: 10. At most 86,400.
   */
  checkEvery?: number
}

/**
 * The session of a socket: `await socketSession(sessions, request)` when it is asked for, before it is accepted.
 *
 * @throws `ERR_ORIGIN` (status 403) if a page of another origin asks; `ERR_BACKEND` (status 503) if the session can't be read.
 */
export async function socketSession<Data extends object>(
  sessions: Sessions<Data>,
  { headers }: UpgradeRequest,
  options: SocketSessionOptions = {},
): Promise<SocketSession<Data>> {
  const { origins, checkEvery } = checked(options)
  const { cookie, origin, host } = handshakeHeaders(headers)
  assertOrigin(origin, host, origins)
  const open = (): Visit<Data> => {
    const visit = sessions.open(cookie)
    visit.headersAreSent()
    return visit
  }
  const visit = open()
  return new SocketSession(visit, await visit.session(), open, checkEvery)
}

function handshakeHeaders(headers: UpgradeRequest['headers']): HandshakeHeaders {
  // Some runtimes and frameworks have a class of their own for them.
  if (!('get' in headers && typeof headers.get === 'function')) return headers as HandshakeHeaders
  const [cookie, origin, host] = ['cookie', 'origin', 'host'].map((name) => headers.get(name) ?? undefined)
  return { cookie, origin, host }
}

const DAY = 86_400

const OPTIONS = ['origins', 'checkEvery']

function checked(options: SocketSessionOptions): Required<SocketSessionOptions> {
  const { origins = [], checkEvery = 10 } = options
  const problems = unknownOptions(options, OPTIONS)
  const isOrigin = (text: unknown): boolean =>
    typeof text === 'string' && URL.canParse(text) && new URL(text).origin === text
  if (!Array.isArray(origins) || !origins.every(isOrigin))
    problems.push('origins must be a list of origins, such as https://shop.example')
  if (!(checkEvery > 0 && checkEvery <= DAY)) problems.push(`checkEvery must be a number of seconds up to ${DAY}`)
  if (problems.length > 0) throw new ConfigError('socketSession()', problems)
  return { origins, checkEvery }
}

/**
 * Browsers send an Origin with each request for a WebSocket (RFC 6455, section 4.1); programs need not, and can't be lured.
 * The scheme is the proxy's business.
 */
function assertOrigin(origin: string | undefined, host: string | undefined, origins: readonly string[]): void {
  if (origin === undefined || origins.includes(origin)) return
  if (host && URL.canParse(origin) && new URL(origin).host === host.toLowerCase()) return
  throw new SessionError(
    'ERR_ORIGIN',
    `A page of ${quote(origin)} asked for a socket of ${quote(host)}: name it in origins if it may`,
  )
}

function quote(header: string | undefined): string {
  return JSON.stringify(header?.slice(0, 40))
}
