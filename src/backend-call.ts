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

/** What the application is to get for a failure of the backend, which is reported here. */
export function outage(report: Settings['report'], cause: unknown): SessionError {
  const message = `The session backend failed: ${messageOf(cause)}`
  const error = cause instanceof SessionError ? cause : new SessionError('ERR_BACKEND', message, { cause })
  report('backendError', error.message, { cause: error })
  return error
}
