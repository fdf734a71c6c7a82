import type { Span, Step } from './history-record.js'

/** Of the spans that began, or ended, before a tick: the one with the greatest value. */
export class Running<T extends Span = Step> {
  readonly #ticks: number[]
  readonly #greatest: T[] = []

  constructor(spans: readonly T[], edge: keyof Span, value: (span: T) => number) {
    const sorted = spans.toSorted((one, other) => one[edge] - other[edge])
    this.#ticks = sorted.map((span) => span[edge])
    for (const span of sorted) {
      const last = this.#greatest.at(-1)
      this.#greatest.push(last && value(last) >= value(span) ? last : span)
    }
  }

  before(tick: number): T | undefined {
    return this.#greatest[countBelow(this.#ticks, tick) - 1]
  }
}

/** How many numbers of a sorted list are less. */
export function countBelow(sorted: readonly number[], limit: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as number) < limit) low = middle + 1
    else high = middle
  }
  return low
}
