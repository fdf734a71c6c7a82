import { inspect } from 'node:util'
import type { SessionEvent } from '../../src/index.js'

/** Everything that a log, an error page or an error tracker could make of it. */
export function allTextOf(thing: unknown): string {
  const texts: string[] = []
  for (let link = thing; link !== undefined && link !== null; link = (link as { cause?: unknown }).cause) {
    const { message, stack } = link as { message?: string; stack?: string }
    texts.push(message ?? '', stack ?? '', jsonOf(link), inspect(link, { depth: 10, showHidden: true }))
  }
  return texts.join('\n')
}

function jsonOf(thing: unknown): string {
  try {
    return JSON.stringify(thing)
  } catch {
    return ''
  }
}

/** Collects whatever leaves the library by another way than to the visitor. */
export class Leaks {
  readonly #texts: string[] = []
  readonly #types = new Set<string>()
  readonly #codes = new Set<unknown>()

  /** To be used as `onEvent`. */
  readonly hear = (event: SessionEvent): void => {
    this.#types.add(event.type)
    this.look(event)
  }

  look(...things: unknown[]): void {
    this.#texts.push(...things.map(allTextOf))
  }

  /** Runs what is expected to fail, and looks at its error. */
  async fail(work: () => unknown): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#codes.add((error as { code?: unknown }).code)
      this.look(error)
      return
    }
    throw new Error(`This was expected to fail: ${work.toString()}`)
  }

  get seen(): { events: string[]; codes: string[] } {
    return { events: [...this.#types].toSorted(), codes: [...this.#codes].map(String).toSorted() }
  }

  /** Which of the secrets have leaked, and in what text. */
  of(secrets: Readonly<Record<string, string>>): { secret: string; text: string }[] {
    return Object.entries(secrets).flatMap(([secret, canary]) =>
      this.#texts.filter((text) => text.includes(canary)).map((text) => ({ secret, text })),
    )
  }
}
