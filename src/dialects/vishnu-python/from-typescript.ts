import { describePlace, messageOf, SessionTypeError } from '../../errors.js'
import { constructorName, isObjectPrototype } from '../prototypes.js'
import { assertBounded, MAX_DEPTH, MAX_INTEGER_BYTES, MAX_NUMBER_KEYS } from './limits.js'
import { writeData } from './pickle-writer.js'
import { canonicalArguments } from './python-classes.js'
import { Instance, isHashable, PythonFloat, type PythonNode, Tuple } from './python-nodes.js'
import { momentArguments, naiveDateTime } from './python-time.js'
import { type PythonContents, PythonValue } from './python-value.js'

/**
 * The Python value that comes back as the same TypeScript one.
 *
 * @throws SessionTypeError `ERR_VALUE`, naming the session key, if there is none
 */
export function fromTypeScript(sessionKey: string, value: unknown): PythonNode {
  return new Converter(sessionKey).root(value)
}

class Converter {
  readonly #sessionKey: string
  readonly #path: (string | number)[] = []
  /** An object that is met twice, or contains itself, is one object in Python too. */
  readonly #known = new Map<object, PythonNode>()
  #numberKeys = 0

  constructor(sessionKey: string) {
    this.#sessionKey = sessionKey
  }

  root(value: unknown): PythonNode {
    const node = this.#convert(value)
    try {
      assertBounded([node])
    } catch (error) {
      throw this.#refusal(`more than could be read again: ${messageOf(error)}`)
    }
    return node
  }

  #convert(value: unknown): PythonNode {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value
      case 'number':
        return Number.isSafeInteger(value) && !Object.is(value, -0) ? value : new PythonFloat(value)
      case 'bigint':
        if (Number.isSafeInteger(Number(value))) throw this.#refusal('a bigint that would come back as a number')
        if (value.toString(16).length >= 2 * MAX_INTEGER_BYTES)
          throw this.#refusal('a bigint of more than 4,900 digits')
        return value
      case 'undefined':
        throw this.#refusal('undefined, which Python does not have (store null)')
      case 'object':
        return value === null ? null : this.#object(value)
      default:
        throw this.#refusal(`a ${typeof value}`)
    }
  }

  #object(value: object): PythonNode {
    const known = this.#known.get(value)
    if (known !== undefined) return known
    if (this.#path.length >= MAX_DEPTH) throw this.#refusal(`nested more than ${MAX_DEPTH} levels deep`)
    if (Array.isArray(value)) return this.#array(value)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === PythonValue.prototype) return this.#pythonValue(value as PythonValue)
    if (isObjectPrototype(prototype)) return this.#plainObject(value)

    const type = constructorName(prototype)
    const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
    // A subclass would come back as its base class, and properties would be lost.
    const isKept = type === tag && (tag === 'Uint8Array' || Reflect.ownKeys(value).length === 0)
    if (isKept && tag === 'Uint8Array') return this.#remember(value, new Uint8Array(value as Uint8Array))
    if (isKept && tag === 'Date') return this.#remember(value, this.#date(value as Date))
    if (isKept && tag === 'Map') return this.#map(value as Map<unknown, unknown>)
    if (isKept && tag === 'Set') {
      const items: PythonNode[] = []
      const set = this.#remember(value, new Instance('set', [items]))
      items.push(...this.#distinct(value as Set<unknown>, 'a Set item'))
      return set
    }
    throw this.#refusal(type ? `an instance of ${type}` : 'an instance of a class')
  }

  #remember<Node extends PythonNode>(value: object, node: Node): Node {
    this.#known.set(value, node)
    return node
  }

  #array(array: readonly unknown[]): PythonNode {
    const list = this.#remember<PythonNode[]>(array, [])
    if (constructorName(Object.getPrototypeOf(array)) !== 'Array') throw this.#refusal('an instance of a class')
    // An index, `length`, and nothing else: no holes and no properties.
    if (Reflect.ownKeys(array).length !== array.length + 1) {
      throw this.#refusal('an array with holes or with properties of its own')
    }
    for (const [index, item] of array.entries()) list.push(this.#child(index, item))
    return list
  }

  #plainObject(object: object): PythonNode {
    const dict = this.#remember(object, new Map<PythonNode, PythonNode>())
    if (Object.getOwnPropertySymbols(object).length > 0) throw this.#refusal('an object with symbol keys')
    for (const [key, value] of Object.entries(object)) dict.set(key, this.#child(key, value))
    return dict
  }

  #map(map: ReadonlyMap<unknown, unknown>): PythonNode {
    const dict = this.#remember(map, new Map<PythonNode, PythonNode>())
    if ([...map.keys()].every((key) => typeof key === 'string')) {
      throw this.#refusal('a Map whose keys are all strings, which would come back as a plain object (store one)')
    }
    const keys = this.#distinct(map.keys(), 'a Map key')
    for (const [index, value] of [...map.values()].entries()) {
      dict.set(keys[index] as PythonNode, this.#child('a Map value', value))
    }
    return dict
  }

  /** What Python can tell apart and use as keys: to Python, True, 1 and 1.0 are one key. */
  #distinct(values: Iterable<unknown>, what: string): PythonNode[] {
    const seen = new Set<unknown>()
    return Array.from(values, (value) => {
      const node = this.#child(what, value)
      if (!isHashable(node)) throw this.#refusal(`holding ${what} that Python can't use as one`)
      const isNumber = typeof value === 'number' || typeof value === 'bigint'
      if (isNumber && ++this.#numberKeys > MAX_NUMBER_KEYS) {
        throw this.#refusal(`holding more than ${MAX_NUMBER_KEYS} numbers as keys of Maps and items of Sets`)
      }
      const identity = identityOf(node)
      if (seen.has(identity)) throw this.#refusal(`holding ${what} that Python takes for the same as another`)
      seen.add(identity)
      return node
    })
  }

  #pythonValue(python: PythonValue): PythonNode {
    const { type, value } = python
    const wrong = `a PythonValue of type ${type} with another value than that type takes`
    if (type === 'tuple') {
      if (!Array.isArray(value)) throw this.#refusal(wrong)
      const tuple = this.#remember(python, new Tuple())
      return tuple.fill(this.#array(value) as PythonNode[])
    }
    const args = type === 'frozenset' || type === 'bytearray' ? this.#contents(value) : argumentsOf(python)
    // An application may have passed any text for a type, such as `constructor`.
    const kept = args && Object.hasOwn(canonicalArguments, type) ? canonicalArguments[type](args) : undefined
    if (!kept) throw this.#refusal(wrong)
    return this.#remember(python, new Instance(type, kept))
  }

  /** The arguments that stand for a Set or for bytes. */
  #contents(value: unknown): PythonNode[] | undefined {
    const node = this.#convert(value)
    if (node instanceof Uint8Array) return [node]
    return node instanceof Instance && node.kind === 'set' ? node.args : undefined
  }

  #date(date: Date): PythonNode {
    const node = naiveDateTime(date.getTime())
    if (!node) throw this.#refusal('a Date outside of the years 1 to 9999')
    return node
  }

  #child(step: string | number, value: unknown): PythonNode {
    this.#path.push(step)
    const node = this.#convert(value)
    this.#path.pop()
    return node
  }

  #refusal(what: string): SessionTypeError {
    const place = describePlace(this.#path)
    return new SessionTypeError(
      'ERR_VALUE',
      `session key ${JSON.stringify(this.#sessionKey)}${place} can't be stored for Python: it is ${what}`,
    )
  }
}

/** What Python makes the value from; undefined if that would be another value. */
function argumentsOf({ type, value }: PythonValue): PythonNode[] | undefined {
  if (type === 'timedelta') {
    const { days, seconds, microseconds } = Object(value) as PythonContents['timedelta']
    return [days, seconds, microseconds]
  }
  if (typeof value !== 'string') return undefined
  if (type !== 'datetime' && type !== 'date' && type !== 'time') return [value]
  // Without an offset it would come back as a Date.
  return type === 'datetime' && !/[+-]\d\d:/.test(value) ? undefined : momentArguments(type, value)
}

/** What two nodes have in common exactly if Python takes them for one key. */
function identityOf(node: PythonNode): unknown {
  const value = node instanceof PythonFloat ? node.value : node
  if (typeof value === 'boolean' || Number.isInteger(value)) return BigInt(value as number)
  if (typeof value === 'string') return `text ${value}`
  if (typeof value !== 'object' || value === null) return value
  const entries = new Map([[0, node]])
  return `pickle ${writeData({ entries, origin: entries }).toString('latin1')}`
}
