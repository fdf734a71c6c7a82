import { AsyncLocalStorage } from 'node:async_hooks'
import type { Sessions, Visit } from '../sessions.js'
import { prerenderedError, respondWith, withStatus } from './fetch-response.js'
import { readSetCookie } from './set-cookie-line.js'

/** What this adapter uses of SvelteKit's `RequestEvent`. */
export interface SvelteKitEvent {
  request: Request
  cookies: { set(name: string, value: string, options: { path: string; encode?: (value: string) => string }): void }
  locals: object
  /** Whether this is a request to an endpoint of the application's own, made by `event.fetch`. */
  isSubRequest: boolean
}

/** A `handle` hook of SvelteKit. */
export type SessionHandle = <Event extends SvelteKitEvent>(input: {
  event: Event
  resolve: (event: Event) => Response | Promise<Response>
}) => Promise<Response>

/**
 * Sessions for SvelteKit 2 and 3: `export const handle = sessionHandle(sessions)` in `hooks.server.ts`, or the first of a
 * `sequence()`. Then `sessions.get(event)`; or `locals.session()`, once your `App.Locals` has it.
 *
 * What was changed is stored before the first byte of the response, which streamed promises come after. If it can't be
 * stored, a plain 503 takes the response's place. What `event.fetch` asks of your own endpoints is part of the same visit:
 * it sees what was changed, and all changes are stored together. Pages that are prerendered have no session.
 */
export function sessionHandle<Data extends object>(sessions: Sessions<Data>): SessionHandle {
  const ongoing = new AsyncLocalStorage<Visit<Data>>()

  return async ({ event, resolve }) => {
    // Mounted twice: the outer one does the work.
    if (sessions.isBound(event)) return resolve(event)
    const outer = event.isSubRequest ? ongoing.getStore() : undefined
    const isSameVisit = outer !== undefined && event.request.credentials !== 'omit'
    const visit = isSameVisit ? outer : sessions.open(event.request.headers.get('cookie') ?? undefined)
    // SvelteKit hands its cookies to the visitor all the same, who would lose the session.
    if (outer && !isSameVisit) visit.headersAreSent(OMITTED)
    sessions.bind(event, visit)
    Object.assign(event.locals, { session: () => visit.session() })
    if (isSameVisit) return resolve(event)

    return respondWith(sessions, visit, async () => {
      try {
        const response = withStatus(await ongoing.run(visit, () => resolve(event)), visit)
        if (visit.consulted && response.headers.has(PRERENDERED)) throw prerenderedError()
        return response
      } catch (error) {
        if (isRedirect(error)) await commitTo(event.cookies, visit)
        throw error
      }
    })
  }

  /** For a redirect that another hook throws: SvelteKit makes the response, with the cookies that it knows of. */
  async function commitTo(cookies: SvelteKitEvent['cookies'], visit: Visit<Data>): Promise<void> {
    const { append } = await sessions.commit(visit, () => undefined)
    for (const [, line] of append) {
      const { name, value, options } = readSetCookie(line)
      cookies.set(name, value, { ...options, encode: String })
    }
  }
}

const OMITTED = 'this request was made without credentials, and sets no cookie'
/** A header that SvelteKit adds for itself while it prerenders. */
const PRERENDERED = 'x-sveltekit-routeid'

function isRedirect(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'location' in error && 'status' in error
}
