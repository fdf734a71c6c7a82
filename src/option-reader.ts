import type { Backend, PlainBackend } from './backend.js'
import { describeValue, isWholeNumber, unknownOption } from './errors.js'

const MIN_SECRET_LENGTH = 32
const MAX_SECRETS = 8

/** Reads options one by one, by kind. Collects what is wrong instead of throwing, so that all of it can be told at once. */
export class OptionReader {
  readonly #given: Record<string, unknown>
  readonly #problems: string[]
  readonly #place: string
  readonly #known = new Set<string>()

  /** `place` is where these options stand, if not at the top: `accept[0].`, say. */
  constructor(given: unknown, problems: string[], place = '') {
    this.#given = isObject(given) ? { ...given } : {}
    this.#problems = problems
    this.#place = place
  }

  secrets(name: string): string[] {
    const value = this.#take(name)
    if (value === undefined) return []
    const list: unknown[] = Array.isArray(value) ? value : [value]
    if (list.length === 0) this.#problem(name, 'is an empty list: pass at least one')
    if (list.length > MAX_SECRETS) this.#problem(name, `lists ${list.length}: keep the newest ${MAX_SECRETS}`)
    for (const item of list) {
      if (typeof item !== 'string') this.#problem(name, 'must be a string or a list of strings')
      else if ([...item].length < MIN_SECRET_LENGTH) {
        this.#problem(name, `must have at least ${MIN_SECRET_LENGTH} characters, this one has ${[...item].length}`)
      }
    }
    return list.filter((item) => typeof item === 'string')
  }

  text<T extends string | undefined>(name: string, fallback: T, pattern: RegExp, rule: string): string | T {
    const value = this.#take(name)
    if (value === undefined) return fallback
    if (typeof value === 'string' && pattern.test(value)) return value
    this.#problem(name, `must ${rule}`)
    return fallback
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.#take(name)
    if (value === undefined) return fallback
    if (typeof value !== 'boolean') this.#problem(name, 'must be true or false')
    return value === true
  }

  choice<const T extends string, F extends NoInfer<T> | undefined>(
    name: string,
    choices: readonly T[],
    fallback: F,
  ): T | F {
    const value = this.#take(name)
    if (value === undefined) return fallback
    const choice = choices.find((candidate) => candidate === value)
    if (choice === undefined) this.#problem(name, `must be one of ${choices.join(', ')}`)
    return choice ?? fallback
  }

  integer<F extends number | undefined>(name: string, fallback: F, min: number, max: number, unit: string): number | F {
    const value = this.#take(name)
    if (value === undefined) return fallback
    if (isWholeNumber(value, min, max)) return value
    this.#problem(name, `must be a whole number of ${unit} from ${min} to ${max}, not ${describeValue(value)}`)
    return fallback
  }

  function<T extends ((...args: never[]) => unknown) | undefined>(name: string, fallback: T): T {
    const value = this.#take(name)
    if (value === undefined) return fallback
    if (typeof value !== 'function') this.#problem(name, 'must be a function')
    return value as T
  }

  backend(name: string): Backend | PlainBackend {
    const value = this.#take(name)
    const operations = ['read', 'create', 'replace', 'delete']
    if (isObject(value) && value['layout'] !== 'plain') operations.push('touch')
    const isBackend = isObject(value) && operations.every((operation) => typeof value[operation] === 'function')
    if (!isBackend) this.#problem(name, 'must be a backend, for example memory() of vishnu/backends/memory')
    return value as Backend | PlainBackend
  }

  /** Each item of a list, to be read like these options. */
  list(name: string): OptionReader[] {
    const value = this.#take(name)
    if (value === undefined) return []
    if (!Array.isArray(value)) this.#problem(name, 'must be a list')
    const items: unknown[] = Array.isArray(value) ? value : []
    return items.map((item, index) => new OptionReader(item, this.#problems, `${this.#place}${name}[${index}].`))
  }

  /** A misspelt option would otherwise be a default that nobody chose. */
  refuseUnknown(): void {
    for (const name of Object.keys(this.#given)) {
      if (!this.#known.has(name)) this.#problem(name, unknownOption(name, this.#known))
    }
  }

  #problem(name: string, rule: string): void {
    this.#problems.push(`${this.#place}${name} ${rule}`)
  }

  /** `null` counts as left out: it is what a configuration file says for "none". */
  #take(name: string): unknown {
    this.#known.add(name)
    return this.#given[name] ?? undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
