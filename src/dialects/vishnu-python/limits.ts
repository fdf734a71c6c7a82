import { PickleError } from './pickle-error.js'
import { ByteString, eachChild, Instance, type PythonNode, Transient } from './python-nodes.js'

/*
 * A pickle is a program, so what it can make this process do is bounded. The same bounds hold for what is written: nothing
 * may be stored that can't be read.
 */
export const MAX_BYTES: number = 16 * 2 ** 20
/** With room for what a dialect may put in front. */
export const MAX_WRITTEN_BYTES: number = MAX_BYTES - 1024
export const MAX_OPERATIONS: number = 1_000_000
/** CPython's limit for integers in text is as much, since conversions take quadratic time. */
export const MAX_INTEGER_BYTES: number = 2048
/** Numbers as keys and items of a value's Maps and Sets: V8 hashes them without a secret, chosen ones take quadratic time. */
export const MAX_NUMBER_KEYS: number = 10_000
/** Deeper nesting would let one value overflow the stack of every later request that reads it. */
export const MAX_DEPTH: number = 500
/** The parts of one value, each counted as often as it is referred to. */
const MAX_EXPANDED = 1_000_000
/** A text this long counts as another part. */
const TEXT_UNIT = 256

/**
 * A pickle can refer to one value many times, so a few hundred bytes can spell a value of 2^64 leaves. It is kept as the
 * graph it is, but whoever walks through a value must come to an end. `container` is what holds the values.
 *
 * @throws PickleError also for what is no finished value: a class, or an object without its attributes
 */
export function assertBounded(values: Iterable<PythonNode>, container?: object): void {
  const measured = new Map<object, Measure>()

  function measure(node: PythonNode, depth: number): Measure {
    const text = node instanceof ByteString ? node.bytes : node
    if (typeof text === 'string' || text instanceof Uint8Array) {
      return { size: 1 + Math.floor(text.length / TEXT_UNIT), height: 0 }
    }
    if (typeof node !== 'object' || node === null) return LEAF
    if (node instanceof Transient) throw new PickleError(`it has ${node.description} among its values`)
    if (node instanceof Instance && node.kind === 'UUID' && node.args.length !== 1) {
      throw new PickleError('it has a UUID that is none')
    }
    const known = measured.get(node)
    if (depth + (known?.height ?? 0) > MAX_DEPTH) {
      throw new PickleError(`it is nested more than ${MAX_DEPTH} levels deep`)
    }
    if (known) return known
    // Where a value contains itself, the walk ends here.
    const own = { size: 1, height: 0 }
    measured.set(node, own)
    eachChild(node, (child) => {
      const { size, height } = measure(child, depth + 1)
      own.size += size
      own.height = Math.max(own.height, height + 1)
    })
    if (own.size > MAX_EXPANDED) throw new PickleError(`it has a value of more than ${MAX_EXPANDED} parts`)
    return own
  }

  if (container) measured.set(container, LEAF)
  for (const value of values) measure(value, 0)
}

interface Measure {
  size: number
  height: number
}

const LEAF: Measure = { size: 1, height: 0 }
