import { messageOf } from '../errors.js'
import { answered } from './answered.js'
import { explained } from './explained.js'

/** The last calls are those that matter; a race makes dozens. */
const SHOWN_CALLS = 8

/** The calls of one law to the backend, to be told if it is broken. */
export class LawCalls {
  readonly #calls: { readonly call: string; answer: string }[] = []

  async make<T>(call: string, run: () => Promise<T>, describe: (outcome: T) => string): Promise<T> {
    const made = { call, answer: 'no answer yet' }
    this.#calls.push(made)
    try {
      const outcome = await answered(call, run)
      made.answer = describe(outcome)
      return outcome
    } catch (error) {
      made.answer = `rejected: ${messageOf(error)}`
      throw error
    }
  }

  /** What is told of a law that is broken. */
  explain(error: unknown, advice: string): Error {
    const calls = this.#calls.map(({ call, answer }) => `  ${call}: ${answer}`)
    const omitted = Math.max(0, calls.length - SHOWN_CALLS)
    return explained(error, [
      advice,
      ...(calls.length > 0 ? ['What was called, times counted from the start of the law, and what came:'] : []),
      ...(omitted > 0 ? [`  (${omitted} before)`] : []),
      ...calls.slice(omitted),
    ])
  }
}
