import { SeededRandom } from '../../src/testing/history-random.js'

/** Something that is fed damaged input. */
export interface FuzzTarget {
  readonly name: string
  /** One more input, as text that a corpus can keep. */
  readonly damaged: () => string
  /** Takes it, and says what came of it. Throws if that must not be. */
  readonly attempt: (text: string) => Promise<string>
}

/** A whole number from 0 up to, but without, the limit. */
export type Below = (limit: number) => number

/** So that what it finds can be found again. */
export function seededBelow(seed: number): Below {
  const random = new SeededRandom(seed)
  return (limit) => random.below(limit)
}

export function pickFrom<T>(below: Below, list: readonly T[]): T {
  return list[below(list.length)] as T
}
