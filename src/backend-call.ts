import type { Backend, PlainBackend } from './backend.js'
import { Budget } from './budget.js'
import type { Settings } from './config.js'
import { messageOf, SessionError } from './errors.js'

/** One call to the backend outside of a request: within the time that a visitor would wait, and failing as one of ours. */
export async function callBackend<T>({ backendTimeout, report }: Settings, call: () => Promise<T>): Promise<T> {
  try {
    return await new Budget(backendTimeout).run(call)
  } catch (cause) {
    throw outage(report, cause)
  }
}

/** Closes the connections of each, whichever of them fails. Rejects with the first failure. */
export async function closeAll(backends: Iterable<Backend | PlainBackend>): Promise<void> {
  const closing = Array.from(new Set(backends), async (backend) => backend.close?.())
  for (const closed of await Promise.allSettled(closing)) if (closed.status === 'rejected') throw closed.reason
}

/** What the application is to get for a failure of the backend, which is reported here. */
export function outage(report: Settings['report'], cause: unknown): SessionError {
  const message = `The session backend failed: ${messageOf(cause)}`
  const error = cause instanceof SessionError ? cause : new SessionError('ERR_BACKEND', message, { cause })
  if (error.cause !== undefined) error.cause = withoutAttachments(error.cause)
  report('backendError', error.message, { cause: error })
  return error
}

/** What tells why a system call, a server or a database has failed. */
const TELLING = ['code', 'errno', 'errcode', 'syscall', 'address', 'port']
/** A chain of causes may be a circle. */
const LONGEST_CHAIN = 5

/**
 * A client's error as it may be told. Clients attach to theirs what they were doing: the command, with the store key and
 * the visitor's values; the reply that they could not parse; in Node's HTTP parser's case the whole packet. It would all
 * be in the log of whoever logs our error, so this is a copy that has what is listed here and nothing else.
 */
function withoutAttachments(error: unknown, depth = 0): Error | undefined {
  if (!(error instanceof Error) || depth > LONGEST_CHAIN) return undefined
  const inner = (other: unknown): Error | undefined => withoutAttachments(other, depth + 1)
  const copy = new Error(error.message, error.cause === undefined ? {} : { cause: inner(error.cause) })
  if (error instanceof AggregateError) Object.assign(copy, { errors: error.errors.map(inner) })
  for (const property of TELLING) {
    const value: unknown = Reflect.get(error, property)
    if (typeof value === 'string' || typeof value === 'number') Object.assign(copy, { [property]: value })
  }
  return Object.assign(copy, { name: error.name, stack: error.stack })
}
