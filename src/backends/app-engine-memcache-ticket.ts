import { AsyncLocalStorage } from 'node:async_hooks'
import { SessionError } from '../errors.js'

/** A request as any framework has it: of `node:http`, or a `Request` of the fetch standard. */
export interface AppEngineRequest {
  readonly headers: Pick<Headers, 'get'> | Readonly<Record<string, string | string[] | undefined>>
}

/** What one request may call App Engine's services with. */
export interface AppEngineTicket {
  readonly ticket: string
  /** By which Google's tracing knows to which request a call belongs. */
  readonly trace: Readonly<Record<string, string>>
}

const TICKET = 'x-appengine-api-ticket'
const TRACE = ['x-google-dappertraceinfo', 'x-cloud-trace-context']

// `run` and never `enterWith`: a ticket is good for its own request, and must not be found by another.
const requests = new AsyncLocalStorage<AppEngineRequest>()

/**
 * Handles a request with its own ticket: App Engine sends one with each request, in the header `X-Appengine-Api-Ticket`,
 * and its services answer to nobody else. Mount it before the sessions:
 *
 * ```ts
 * app.use((req, res, next) => withAppEngineTicket(req, next))
 * app.use(sessionMiddleware(sessions))
 * ```
 *
 * A ticket ends with its request: nothing can be read or stored later, by a timer, say.
 *
 * @experimental As {@link appEngineMemcache} is.
 * @returns What the handler returns.
 */
export function withAppEngineTicket<T>(request: AppEngineRequest, handler: () => T): T {
  return requests.run(request, handler)
}

/** @throws `ERR_NO_REQUEST` outside of `withAppEngineTicket`, `ERR_BACKEND` if App Engine has sent no ticket. */
export function currentTicket(): AppEngineTicket {
  const request = requests.getStore()
  if (!request) {
    throw new SessionError(
      'ERR_NO_REQUEST',
      'App Engine memcache answers only while a request is handled: wrap the handler in withAppEngineTicket(request, handler)',
    )
  }
  const ticket = headerOf(request, TICKET)
  if (!ticket) {
    throw new SessionError(
      'ERR_BACKEND',
      'The request has no X-Appengine-Api-Ticket: App Engine sends one where app.yaml has app_engine_apis: true, and to Node perhaps never',
    )
  }
  const trace: Record<string, string> = {}
  for (const name of TRACE) {
    const value = headerOf(request, name)
    if (value) trace[name] = value
  }
  return { ticket, trace }
}

function headerOf({ headers }: AppEngineRequest, name: string): string | undefined {
  const value = isFetchHeaders(headers) ? headers.get(name) : headers[name]
  return typeof value === 'string' ? value : undefined
}

/** Some frameworks have a class of their own for them. */
function isFetchHeaders(headers: AppEngineRequest['headers']): headers is Pick<Headers, 'get'> {
  return typeof headers.get === 'function'
}
