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

/** A small generator with a seed (mulberry32), so that what it finds can be found again. */
export function seededBelow(seed: number): Below {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

export function pickFrom<T>(below: Below, list: readonly T[]): T {
  return list[below(list.length)] as T
}
