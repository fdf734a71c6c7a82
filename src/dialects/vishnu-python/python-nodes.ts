import { Buffer, isUtf8 } from 'node:buffer'

/**
 * A Python value exactly as a pickle holds it: what an application does not touch is written back from these.
 * None is null; an int is a number, or a bigint beyond ±(2^53 - 1), and never a float; a list is an array; a dict is a Map
 * in Python's order; bytes are a Uint8Array. Never changed once it was read: several records may share one.
 */
export type PythonNode =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PythonNode[]
  | Map<PythonNode, PythonNode>
  | PythonFloat
  | IntegerKey
  | ByteString
  | Tuple
  | Instance
  | Transient

export class PythonFloat {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

/**
 * An int as the key of a dict that was read. In a box: V8 hashes numbers without a secret, so a dict of chosen ones would
 * take quadratic time.
 */
export class IntegerKey {
  readonly value: number | bigint

  constructor(value: number | bigint) {
    this.value = value
  }
}

/** The `str` of Python 2: text in an encoding that nobody wrote down, or binary data. */
export class ByteString {
  readonly bytes: Uint8Array
  /** Decoded once: a pickle can use one long string many times. */
  #text: { readonly decoded: string | undefined } | undefined

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Undefined if the bytes are not UTF-8: then they are taken for binary data. */
  get text(): string | undefined {
    this.#text ??= { decoded: isUtf8(this.bytes) ? Buffer.from(this.bytes).toString() : undefined }
    return this.#text.decoded
  }
}

export class Tuple {
  items: readonly PythonNode[] = []
  /** Known from the start, so that a tuple of tuples of tuples… costs nothing when it becomes a key. */
  isHashable = false

  /** Apart from the construction, for a tuple that contains itself by way of a list. */
  fill(items: readonly PythonNode[]): this {
    this.items = items
    this.isHashable = items.every(isHashable)
    return this
  }
}

export type InstanceKind =
  'set' | 'frozenset' | 'bytearray' | 'datetime' | 'date' | 'time' | 'timedelta' | 'timezone' | 'Decimal' | 'UUID'

/** An object of one of the allowed classes, as the arguments that Python makes it from. */
export class Instance {
  readonly kind: InstanceKind
  readonly args: PythonNode[]

  constructor(kind: InstanceKind, args: PythonNode[]) {
    this.kind = kind
    this.args = args
  }
}

/** What exists only while a pickle is read: a class, or a session under construction. Never part of a finished value. */
export abstract class Transient {
  abstract readonly description: string
}

/** Whether Python takes it as a dict's key or a set's item. */
export function isHashable(node: PythonNode): boolean {
  if (typeof node !== 'object' || node === null) return true
  if (node instanceof Tuple) return node.isHashable
  if (node instanceof Instance) return node.kind !== 'set' && node.kind !== 'bytearray'
  return node instanceof PythonFloat || node instanceof ByteString || node instanceof Uint8Array
}

/** A str, or a Python 2 `str` that is text; undefined for all else. */
export function textOf(node: PythonNode | undefined): string | undefined {
  if (typeof node === 'string') return node
  return node instanceof ByteString ? node.text : undefined
}

/** Calls back for each value directly inside. */
export function eachChild(node: PythonNode, visit: (child: PythonNode) => void): void {
  if (Array.isArray(node)) node.forEach(visit)
  else if (node instanceof Tuple) node.items.forEach(visit)
  else if (node instanceof Instance) node.args.forEach(visit)
  else if (node instanceof Map) {
    for (const [key, value] of node) {
      visit(key)
      visit(value)
    }
  }
}
