import * as devalue from 'devalue'
import { describePlace, messageOf, SessionError, SessionTypeError } from '../errors.js'
import { constructorName, isObjectPrototype } from './prototypes.js'

/**
 * One value as text: plain JSON where JSON keeps it exactly, for its speed and so that it stays readable in the store;
 * else devalue's format behind this mark, which no JSON text begins with.
 */
const RICH_MARK = '~'

/** Deeper nesting would let one value overflow the stack of every later request that reads it. */
const MAX_DEPTH = 500

const RICH_CONTAINERS = new Set(['Date', 'Map', 'Set'])
const TYPED_ARRAYS = new Set([
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
])

export function encodeValue(sessionKey: string, value: unknown): string {
  try {
    if (new Survey(sessionKey).isJson(value)) return JSON.stringify(value)
    return RICH_MARK + devalue.stringify(value, undefined, { operations: { viewInfo } })
  } catch (error) {
    if (error instanceof SessionTypeError) throw error
    // No `cause`, here and below: devalue's errors carry the value, V8's quote the text, and both would end up in a log.
    throw new SessionTypeError('ERR_VALUE', `${nameOf(sessionKey, [])} can't be stored: ${messageOf(error)}`)
  }
}

export function decodeValue(sessionKey: string, text: string): unknown {
  try {
    const value: unknown = text.startsWith(RICH_MARK) ? devalue.parse(text.slice(RICH_MARK.length)) : JSON.parse(text)
    deepFreeze(value)
    return value
  } catch {
    throw new SessionError('ERR_RECORD', `The stored value of ${nameOf(sessionKey, [])} can't be read`)
  }
}

/** What freezing does not protect (Date, Map, Set, bytes) is in rich text only. */
export function isShareable(text: string): boolean {
  return !text.startsWith(RICH_MARK)
}

/** Looks through a value before it is encoded: can JSON keep it, can the rich encoder, or neither? */
class Survey {
  readonly #sessionKey: string
  readonly #path: (string | number)[] = []
  readonly #seen = new Set<object>()

  constructor(sessionKey: string) {
    this.#sessionKey = sessionKey
  }

  isJson(value: unknown): boolean {
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return true
      case 'number':
        return Number.isFinite(value) && !Object.is(value, -0)
      case 'undefined':
      case 'bigint':
        return false
      case 'object':
        return value === null || this.#objectIsJson(value)
      default:
        throw this.#refusal(`a ${typeof value}`)
    }
  }

  #objectIsJson(value: object): boolean {
    // An object met twice, shared or cyclic, is the rich encoder's: it writes it once and keeps the identity.
    if (this.#seen.has(value)) return false
    this.#seen.add(value)
    if (this.#path.length >= MAX_DEPTH) throw this.#refusal(`nested more than ${MAX_DEPTH} levels deep`)

    if (Array.isArray(value)) return this.#arrayIsJson(value)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === null || isObjectPrototype(prototype)) return this.#plainObjectIsJson(value) && prototype !== null

    const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
    const isKept = RICH_CONTAINERS.has(tag) || TYPED_ARRAYS.has(tag)
    // A subclass would come back as its base class: not what was set.
    if (!isKept || constructorName(prototype) !== tag) throw this.#refusal(describeInstance(prototype))
    // Not asked of typed arrays: each of their bytes is a property, and listing them takes longer than storing them.
    if (RICH_CONTAINERS.has(tag) && Reflect.ownKeys(value).length > 0) {
      throw this.#refusal(`a ${tag} with properties of its own`)
    }
    if (value instanceof Map) {
      for (const [key, item] of value) this.#inside('a Map key', key).#inside('a Map value', item)
    }
    if (value instanceof Set) for (const item of value) this.#inside('a Set item', item)
    return false
  }

  #arrayIsJson(array: readonly unknown[]): boolean {
    if (constructorName(Object.getPrototypeOf(array)) !== 'Array') {
      throw this.#refusal(describeInstance(Object.getPrototypeOf(array)))
    }
    let json = true
    const properties = Reflect.ownKeys(array)
    for (const property of properties) {
      if (property === 'length') continue
      const index = typeof property === 'string' ? Number(property) >>> 0 : -1
      if (String(index) !== property) throw this.#refusal('an array with properties of its own')
      json = this.#childIsJson(index, array[index]) && json
    }
    const hasHoles = properties.length - 1 < array.length
    return json && !hasHoles
  }

  #plainObjectIsJson(object: object): boolean {
    if (Object.getOwnPropertySymbols(object).length > 0) throw this.#refusal('an object with symbol keys')
    let json = true
    for (const key of Object.keys(object))
      json = this.#childIsJson(key, (object as Record<string, unknown>)[key]) && json
    return json
  }

  #inside(what: string, value: unknown): this {
    this.#childIsJson(what, value)
    return this
  }

  #childIsJson(step: string | number, value: unknown): boolean {
    this.#path.push(step)
    const json = this.isJson(value)
    this.#path.pop()
    return json
  }

  #refusal(what: string): SessionTypeError {
    return new SessionTypeError(
      'ERR_VALUE',
      `${nameOf(this.#sessionKey, this.#path)} can't be stored: it is ${what}. Sessions keep JSON values, undefined, bigint, ` +
        'NaN, Date, Map, Set and typed arrays',
    )
  }
}

/** A view over a larger buffer is written alone: the rest of a shared pool may hold other visitors' bytes. */
function viewInfo(view: { slice(): { buffer: ArrayBufferLike; byteLength: number; length: number } }) {
  const { buffer, byteLength, length } = view.slice()
  return { buffer, byteOffset: 0, byteLength, length, bufferByteLength: byteLength }
}

/** Freezes plain objects and arrays, also inside of Map and Set. Those two can't be frozen and may hold themselves. */
function deepFreeze(value: unknown, visited: Set<unknown> = new Set()): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || visited.has(value)) return
  if (value instanceof Map || value instanceof Set) {
    visited.add(value)
    for (const entry of value.entries()) for (const item of entry) deepFreeze(item, visited)
  } else if (!(value instanceof Date || ArrayBuffer.isView(value))) {
    Object.freeze(value)
    for (const item of Object.values(value)) deepFreeze(item, visited)
  }
}

function describeInstance(prototype: unknown): string {
  const name = constructorName(prototype)
  if (name === 'Buffer') return 'a Buffer (store a new Uint8Array(buffer) instead)'
  return name ? `an instance of ${name}` : 'an instance of a class'
}

function nameOf(sessionKey: string, path: readonly (string | number)[]): string {
  return `session key ${JSON.stringify(sessionKey)}${describePlace(path)}`
}
