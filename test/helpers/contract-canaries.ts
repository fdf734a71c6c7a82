import buffer, { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import type { SessionEvent } from '../../src/index.js'

// By default it shows 50 bytes of a buffer, and a secret may stand behind them.
buffer.INSPECT_MAX_BYTES = Infinity

/** Everything that a log, an error page or an error tracker could make of it. */
export function allTextOf(thing: unknown): string {
  const texts = [jsonOf(thing), inspect(thing, { ...EVERYTHING, showHidden: true, getters: true })]
  const seen = new Set<unknown>()
  for (let link = thing; link instanceof Error && !seen.has(link); link = link.cause) {
    seen.add(link)
    texts.push(String(link), link.stack ?? '', jsonOf(link), inspect(link, EVERYTHING))
  }
  return texts.join('\n')
}

const EVERYTHING = { depth: Infinity, maxArrayLength: Infinity, maxStringLength: Infinity }

function jsonOf(thing: unknown): string {
  try {
    return JSON.stringify(thing) ?? ''
  } catch {
    return ''
  }
}

/** A secret as it is written, and as bytes are printed: in hex, in decimal numbers, in base64, in a URL. */
function formsOf(canary: string): string[] {
  const bytes = Buffer.from(canary)
  // The characters of base64 depend on how many bytes stand before; the outer ones are shared with the neighbours.
  const base64 = [0, 1, 2].map((before) =>
    Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .slice(before === 0 ? 0 : 4, -4),
  )
  return [canary, encodeURIComponent(canary), bytes.toString('hex'), [...bytes].join(), ...base64].map(compact)
}

/** However it was broken into lines and columns. */
function compact(text: string): string {
  return text.replaceAll(/[\s\\]/g, '')
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

  /** Runs what may fail, and looks at its error. Resolves to whether it did. */
  async try(work: () => unknown): Promise<boolean> {
    try {
      await work()
      return false
    } catch (error) {
      this.#codes.add((error as { code?: unknown }).code)
      this.look(error)
      return true
    }
  }

  /** The same for what is expected to fail. */
  async fail(work: () => unknown): Promise<void> {
    if (!(await this.try(work))) throw new Error(`This was expected to fail: ${work.toString()}`)
  }

  get seen(): { events: string[]; codes: string[] } {
    return { events: [...this.#types].toSorted(), codes: [...this.#codes].map(String).toSorted() }
  }

  /** Which of the secrets have leaked, and in what text. */
  of(secrets: Readonly<Record<string, string>>): { secret: string; text: string }[] {
    return Object.entries(secrets).flatMap(([secret, canary]) => {
      const forms = formsOf(canary)
      const tells = (text: string): boolean => forms.some((form) => compact(text).includes(form))
      return this.#texts.filter(tells).map((text) => ({ secret, text }))
    })
  }
}
