import { headers } from 'next/headers.js'
import { ConfigError } from '../errors.js'
import type { Sessions, Visit } from '../sessions.js'
import { prerenderedError } from './fetch-response.js'

/** A request, as `headers()` stands for it: it is the same object in an action and in the rendering after it. */
type NextHeaders = Awaited<ReturnType<typeof headers>>

/** By `Sessions`: the requests whose visit can only read. */
const readOnly = new WeakMap<object, WeakSet<NextHeaders>>()

/** A visit for an action or a route handler, unless the request has one already that can set a cookie. */
export async function begin<Data extends object>(sessions: Sessions<Data>): Promise<Visit<Data> | undefined> {
  const request = await currentRequest(sessions)
  // What was only read so far, by a guard say, is no obstacle.
  const isReplaced = readOnly.get(sessions)?.delete(request)
  return sessions.isBound(request) && !isReplaced ? undefined : open(sessions, request)
}

/** A visit for a page, unless the request has one. */
export async function beginReading<Data extends object>(sessions: Sessions<Data>): Promise<Visit<Data> | undefined> {
  const request = await currentRequest(sessions)
  if (sessions.isBound(request)) return undefined
  const requests = readOnly.get(sessions) ?? new WeakSet()
  readOnly.set(sessions, requests.add(request))
  return open(sessions, request)
}

async function currentRequest<Data extends object>(sessions: Sessions<Data>): Promise<NextHeaders> {
  // First of all: this is where Next.js leaves a page that it tries to render when it builds the application.
  const request = await headers()
  // With `force-static` everybody gets what is made now. Next.js then makes up new headers, without any, for each call.
  if (request !== (await headers())) throw prerenderedError()
  const isRefused = sessions.areLocal && process.env['NODE_ENV'] === 'production'
  if (isRefused) throw new ConfigError('vishnu/next', [LOCAL_BACKEND])
  return request
}

function open<Data extends object>(sessions: Sessions<Data>, request: NextHeaders): Visit<Data> {
  const visit = sessions.open(request.get('cookie') ?? undefined)
  sessions.bind(request, visit)
  return visit
}

const LOCAL_BACKEND =
  "memory() is for development only: Next.js may load an application's code several times, each with a memory of its own. Use redis() or sqlite()"
