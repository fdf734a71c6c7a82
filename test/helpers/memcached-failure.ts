import { MemcachedError, type MemcachedErrorCode } from '../../src/memcached-client/index.js'

/** How a command failed, for `toEqual`. */
export interface Failure {
  code: MemcachedErrorCode
  outcomeUnknown: boolean
}

/** Fails itself if the command does not reject, or with anything else. */
export async function failureOf(command: Promise<unknown>): Promise<Failure & { message: string }> {
  const error: unknown = await command.then(
    (result) => new Error(`resolved to ${JSON.stringify(result)}`),
    (reason: unknown) => reason,
  )
  if (!(error instanceof MemcachedError)) throw error
  const { code, outcomeUnknown, message } = error
  return { code, outcomeUnknown, message }
}
