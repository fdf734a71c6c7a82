import { AssertionError } from 'node:assert/strict'
import { messageOf } from '../errors.js'

/**
 * The same failure with more to say. What the kit has found stays an `AssertionError`, without the two values, which runners
 * would print whole; whatever else was thrown comes along as the cause.
 */
export function explained(error: unknown, lines: readonly string[]): Error {
  const message = [messageOf(error).trimEnd(), ...lines].join('\n')
  return error instanceof AssertionError ? new AssertionError({ message }) : new Error(message, { cause: error })
}
