import { MAX_NUMBER_KEYS } from './limits.js'
import {
  ByteString,
  Instance,
  IntegerKey,
  PythonFloat,
  type PythonNode,
  textOf,
  Transient,
  Tuple,
} from './python-nodes.js'
import { instantOf, isNaiveDateTime, momentText } from './python-time.js'
import { type PythonContents, PythonValue } from './python-value.js'

export interface Converted {
  readonly value: unknown
  /** Whether one copy can serve every read: it holds nothing that can be changed. */
  readonly isFrozen: boolean
}

/**
 * The value as the application sees it: plain objects and arrays deep-frozen, all else new objects.
 *
 * @throws TypeError for what can only be carried along
 */
export function toTypeScript(node: PythonNode): Converted {
  const converter = new Converter()
  const value = converter.convert(node)
  return { value, isFrozen: converter.isFrozen }
}

/**
 * The same without a {@link PythonValue}, for a record of another dialect: a tuple becomes an array, a frozenset a Set, a
 * bytearray a Uint8Array, a datetime with an offset the Date of that instant, a timedelta an object; the rest becomes text.
 *
 * @throws TypeError for what can only be carried along
 */
export function toPortable(node: PythonNode): unknown {
  return new PortableConverter().convert(node)
}

class Converter {
  isFrozen = true
  /** One object in Python is one object here, also where it contains itself. */
  readonly #known = new Map<object, unknown>()
  #numberKeys = 0

  convert(node: PythonNode): unknown {
    if (typeof node !== 'object' || node === null) return node
    if (node instanceof PythonFloat || node instanceof IntegerKey) return node.value
    if (this.#known.has(node)) return this.#known.get(node)
    if (Array.isArray(node)) return this.items(node, node)
    if (node instanceof Map) return this.#dict(node)
    if (node instanceof Tuple) return this.tuple(node)
    if (node instanceof Instance) return this.#instance(node)
    if (node instanceof ByteString) return node.text ?? this.#remember(node, this.#binary(node.bytes))
    if (node instanceof Transient) throw new TypeError('Unreachable: a finished value holds no classes')
    return this.#remember(node, this.#binary(node))
  }

  #remember<Value>(node: object, value: Value): Value {
    this.#known.set(node, value)
    return value
  }

  protected items(identity: object, nodes: readonly PythonNode[]): readonly unknown[] {
    const items = this.#remember<unknown[]>(identity, [])
    for (const node of nodes) items.push(this.convert(node))
    return Object.freeze(items)
  }

  #dict(dict: ReadonlyMap<PythonNode, PythonNode>): unknown {
    if (![...dict.keys()].every((key) => textOf(key) !== undefined)) {
      this.isFrozen = false
      const map = this.#remember(dict, new Map<unknown, unknown>())
      for (const [key, value] of dict) map.set(this.#key(key), this.convert(value))
      return map
    }
    const object = this.#remember<Record<string, unknown>>(dict, {})
    for (const [key, node] of dict) {
      const name = textOf(key) as string
      const value = this.convert(node)
      if (name === '__proto__') Object.defineProperty(object, name, { value, enumerable: true })
      else object[name] = value
    }
    return Object.freeze(object)
  }

  protected tuple(tuple: Tuple): unknown {
    const items: unknown[] = []
    const value = this.#remember(tuple, Object.freeze(new PythonValue('tuple', items)))
    for (const node of tuple.items) items.push(this.convert(node))
    Object.freeze(items)
    return value
  }

  #instance(instance: Instance): unknown {
    return this.#remember(instance, this.#instanceValue(instance))
  }

  #instanceValue(instance: Instance): unknown {
    const { kind, args } = instance
    switch (kind) {
      case 'set':
        return this.#set(args)
      case 'frozenset':
        return this.python(kind, this.#set(args))
      case 'bytearray':
        return this.python(kind, this.#binary(args[0] as Uint8Array))
      case 'datetime':
        return this.dateTime(instance)
      case 'date':
      case 'time':
        return this.python(kind, momentText(kind, args))
      case 'timedelta': {
        const [days, seconds, microseconds] = args as [number, number, number]
        return this.python(kind, Object.freeze({ days, seconds, microseconds }))
      }
      case 'Decimal':
      case 'UUID':
        return this.python(kind, args[0] as string)
      case 'timezone':
        throw new TypeError('A time zone alone has no form in TypeScript')
    }
  }

  protected python<Type extends keyof PythonContents>(type: Type, value: PythonContents[Type]): unknown {
    return Object.freeze(new PythonValue(type, value))
  }

  #set([items]: readonly PythonNode[]): Set<unknown> {
    this.isFrozen = false
    return new Set((items as readonly PythonNode[]).map((item) => this.#key(item)))
  }

  #key(node: PythonNode): unknown {
    const key = this.convert(node)
    if (typeof key !== 'number' && typeof key !== 'bigint') return key
    if (++this.#numberKeys > MAX_NUMBER_KEYS) throw new TypeError(`More than ${MAX_NUMBER_KEYS} numbers as keys`)
    return key
  }

  #binary(bytes: Uint8Array): Uint8Array {
    this.isFrozen = false
    return new Uint8Array(bytes)
  }

  /** Without a time zone it is UTC, as in all that the Python library itself stores. */
  protected dateTime(instance: Instance): unknown {
    if (!isNaiveDateTime(instance)) return this.python('datetime', momentText('datetime', instance.args))
    this.isFrozen = false
    return new Date(instantOf(instance))
  }
}

class PortableConverter extends Converter {
  protected override tuple(tuple: Tuple): unknown {
    return this.items(tuple, tuple.items)
  }

  protected override dateTime(instance: Instance): Date {
    return new Date(instantOf(instance))
  }

  protected override python<Type extends keyof PythonContents>(_: Type, value: PythonContents[Type]): unknown {
    return value
  }
}
