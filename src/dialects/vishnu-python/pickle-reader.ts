import { MAX_BYTES, MAX_OPERATIONS } from './limits.js'
import { PickleError } from './pickle-error.js'
import { PickleInput } from './pickle-input.js'
import { Callable, callables, SessionObject, uuidArguments } from './python-classes.js'
import { ByteString, Instance, IntegerKey, isHashable, PythonFloat, type PythonNode, Tuple } from './python-nodes.js'

/** What calls may copy, in multiples of the pickle's size: a pickle can name a long text once and pass it on many times. */
const MAX_COPIED = 8
const HIGHEST_PROTOCOL = 5

/**
 * Reads a pickle of protocol 0 to 5. Nothing is imported and nothing is called but what `callables` lists. The result still
 * has to pass `assertBounded`.
 *
 * @throws PickleError
 */
export function readPickle(bytes: Uint8Array): PythonNode {
  if (bytes.length > MAX_BYTES) throw new PickleError(`it has ${bytes.length} bytes`)
  return new PickleMachine(bytes).run()
}

/** CPython's pickle machine (Lib/pickletools.py), without the instructions that leave the pickle. */
class PickleMachine {
  readonly #input: PickleInput
  readonly #stack: PythonNode[] = []
  /** The heights of the stack at which a group began. */
  readonly #marks: number[] = []
  readonly #memo: PythonNode[] = []
  readonly #size: number
  #copied = 0

  constructor(bytes: Uint8Array) {
    this.#input = new PickleInput(bytes)
    this.#size = bytes.length
  }

  run(): PythonNode {
    for (let operations = 0; operations < MAX_OPERATIONS; operations++) {
      const code = this.#input.byte()
      if (code === 0x2e /* STOP */) return this.#stop()
      this.#perform(code)
    }
    throw new PickleError(`it has more than ${MAX_OPERATIONS} instructions`)
  }

  #perform(code: number): void {
    const input = this.#input
    switch (code) {
      case 0x80: // PROTO
        return this.#expect(input.byte() <= HIGHEST_PROTOCOL, 'of an unknown protocol')
      case 0x95: // FRAME
        return this.#expect(input.uint64() <= input.left, 'truncated')

      case 0x4e: // NONE
        return this.#push(null)
      case 0x88: // NEWTRUE
        return this.#push(true)
      case 0x89: // NEWFALSE
        return this.#push(false)
      case 0x4b: // BININT1
        return this.#push(input.byte())
      case 0x4d: // BININT2
        return this.#push(input.uint16())
      case 0x4a: // BININT
        return this.#push(input.int32())
      case 0x8a: // LONG1
        return this.#push(input.integer(input.byte()))
      case 0x8b: // LONG4
        return this.#push(input.integer(input.int32()))
      case 0x49: // INT
      case 0x4c: // LONG
        return this.#push(input.integerLine())
      case 0x47: // BINFLOAT
        return this.#push(new PythonFloat(input.float64()))
      case 0x46: // FLOAT
        return this.#push(new PythonFloat(input.floatLine()))

      case 0x8c: // SHORT_BINUNICODE
        return this.#push(input.text(input.byte()))
      case 0x58: // BINUNICODE
        return this.#push(input.text(input.uint32()))
      case 0x8d: // BINUNICODE8
        return this.#push(input.text(input.uint64()))
      case 0x56: // UNICODE
        return this.#push(input.unicodeLine())
      case 0x55: // SHORT_BINSTRING
        return this.#push(new ByteString(input.bytes(input.byte())))
      case 0x54: // BINSTRING
        return this.#push(new ByteString(input.bytes(input.int32())))
      case 0x53: // STRING
        return this.#push(new ByteString(input.quotedLine()))
      case 0x43: // SHORT_BINBYTES
        return this.#push(input.bytes(input.byte()))
      case 0x42: // BINBYTES
        return this.#push(input.bytes(input.uint32()))
      case 0x8e: // BINBYTES8
        return this.#push(input.bytes(input.uint64()))
      case 0x96: // BYTEARRAY8
        return this.#push(new Instance('bytearray', [input.bytes(input.uint64())]))

      case 0x28: // MARK
        this.#marks.push(this.#stack.length)
        return undefined
      case 0x30: // POP
        if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop()
        else this.#pop()
        return undefined
      case 0x31: // POP_MARK
        this.#popGroup()
        return undefined
      case 0x32: // DUP
        return this.#push(this.#top())

      case 0x29: // EMPTY_TUPLE
        return this.#pushTuple([])
      case 0x85: // TUPLE1
        return this.#pushTuple(this.#popItems(1))
      case 0x86: // TUPLE2
        return this.#pushTuple(this.#popItems(2))
      case 0x87: // TUPLE3
        return this.#pushTuple(this.#popItems(3))
      case 0x74: // TUPLE
        return this.#pushTuple(this.#popGroup())
      case 0x5d: // EMPTY_LIST
        return this.#push([])
      case 0x6c: // LIST
        return this.#push(this.#popGroup())
      case 0x61: // APPEND
        return this.#append(this.#popItems(1))
      case 0x65: // APPENDS
        return this.#append(this.#popGroup())
      case 0x7d: // EMPTY_DICT
        return this.#push(new Map())
      case 0x64: // DICT
        return this.#pushDict(this.#popGroup())
      case 0x73: // SETITEM
        return this.#setItems(this.#popItems(2))
      case 0x75: // SETITEMS
        return this.#setItems(this.#popGroup())
      case 0x8f: // EMPTY_SET
        return this.#push(new Instance('set', [[]]))
      case 0x90: // ADDITEMS
        return this.#addItems(this.#popGroup())
      case 0x91: // FROZENSET
        return this.#pushFrozenset(this.#popGroup())

      case 0x94: // MEMOIZE
        return this.#memoize(this.#memo.length)
      case 0x71: // BINPUT
        return this.#memoize(input.byte())
      case 0x72: // LONG_BINPUT
        return this.#memoize(input.uint32())
      case 0x70: // PUT
        return this.#memoize(input.indexLine())
      case 0x68: // BINGET
        return this.#recall(input.byte())
      case 0x6a: // LONG_BINGET
        return this.#recall(input.uint32())
      case 0x67: // GET
        return this.#recall(input.indexLine())

      case 0x63: // GLOBAL
        return this.#pushCallable(input.line(), input.line())
      case 0x93: // STACK_GLOBAL
        return this.#pushStackedCallable()
      case 0x52: // REDUCE
        return this.#call()
      case 0x81: // NEWOBJ
        return this.#create()
      case 0x62: // BUILD
        return this.#build()
      default:
        throw new PickleError(`it has the instruction 0x${code.toString(16)}, which is not allowed`)
    }
  }

  #stop(): PythonNode {
    const result = this.#pop()
    this.#expect(this.#input.left === 0, 'followed by other bytes')
    this.#expect(this.#stack.length === 0 && this.#marks.length === 0, 'several values')
    return result
  }

  #expect(condition: boolean, otherwise: string): void {
    if (!condition) throw new PickleError(`it is ${otherwise}`)
  }

  #push(node: PythonNode): void {
    this.#stack.push(node)
  }

  /** What lies below the last mark can't be reached before its group is taken. */
  #top(): PythonNode {
    this.#expect(this.#stack.length > (this.#marks.at(-1) ?? 0), 'damaged: nothing is on the stack')
    return this.#stack.at(-1) as PythonNode
  }

  #pop(): PythonNode {
    const node = this.#top()
    this.#stack.pop()
    return node
  }

  #popGroup(): PythonNode[] {
    const mark = this.#marks.pop()
    if (mark === undefined) throw new PickleError('it is damaged: a group has no beginning')
    return this.#stack.splice(mark)
  }

  #popItems(count: number): PythonNode[] {
    this.#expect(this.#stack.length - count >= (this.#marks.at(-1) ?? 0), 'damaged: too little is on the stack')
    return this.#stack.splice(this.#stack.length - count)
  }

  #pushTuple(items: PythonNode[]): void {
    this.#push(new Tuple().fill(items))
  }

  #append(items: readonly PythonNode[]): void {
    const list = this.#top()
    if (!Array.isArray(list)) throw new PickleError('it appends to what is no list')
    for (const item of items) list.push(item)
  }

  #pushDict(items: readonly PythonNode[]): void {
    this.#push(new Map())
    this.#setItems(items)
  }

  #setItems(items: readonly PythonNode[]): void {
    const dict = this.#top()
    if (!(dict instanceof Map) || items.length % 2 === 1) throw new PickleError('it has a damaged dict')
    for (let index = 0; index < items.length; index += 2) {
      const key = items[index] as PythonNode
      this.#expect(isHashable(key), 'damaged: a key is not hashable')
      const isInteger = typeof key === 'number' || typeof key === 'bigint'
      dict.set(isInteger ? new IntegerKey(key) : key, items[index + 1] as PythonNode)
    }
  }

  #addItems(items: readonly PythonNode[]): void {
    const set = this.#top()
    const contents = set instanceof Instance && set.kind === 'set' ? set.args[0] : undefined
    if (!Array.isArray(contents)) throw new PickleError('it adds to what is no set')
    this.#expect(items.every(isHashable), 'damaged: an item of a set is not hashable')
    for (const item of items) contents.push(item)
  }

  #pushFrozenset(items: PythonNode[]): void {
    this.#expect(items.every(isHashable), 'damaged: an item of a set is not hashable')
    this.#push(new Instance('frozenset', [items]))
  }

  #memoize(index: number): void {
    // Python counts up from 0 or 1, and each entry takes an instruction.
    this.#expect(index <= this.#size, 'damaged: a memo index is out of bounds')
    this.#memo[index] = this.#top()
  }

  #recall(index: number): void {
    const node = this.#memo[index]
    if (node === undefined) throw new PickleError('it is damaged: a reference leads nowhere')
    this.#push(node)
  }

  #pushStackedCallable(): void {
    const name = this.#pop()
    const module = this.#pop()
    if (typeof name !== 'string' || typeof module !== 'string') throw new PickleError('it names a class by no text')
    this.#pushCallable(module, name)
  }

  #pushCallable(module: string, name: string): void {
    const callable = callables.get(`${module} ${name}`)
    if (!callable) throw new PickleError(`it needs ${describeClass(`${module}.${name}`)}, which is not allowed`)
    this.#push(callable)
  }

  #call(): void {
    const { callable, args } = this.#popCall()
    for (const arg of args) {
      if (typeof arg === 'string' || Array.isArray(arg) || arg instanceof Uint8Array) this.#copied += arg.length
      else if (arg instanceof ByteString) this.#copied += arg.bytes.length
    }
    this.#expect(this.#copied <= MAX_COPIED * this.#size, 'too large when it is unpacked')
    this.#pushMade(callable.call(args))
  }

  #create(): void {
    const { callable, args } = this.#popCall()
    this.#pushMade(args.length === 0 ? callable.create?.() : undefined)
  }

  #pushMade(node: PythonNode | undefined): void {
    if (node === undefined) throw new PickleError('it makes an object in a way that is not allowed')
    this.#push(node)
  }

  #popCall(): { callable: Callable; args: readonly PythonNode[] } {
    const args = this.#pop()
    const callable = this.#pop()
    if (!(callable instanceof Callable) || !(args instanceof Tuple)) throw new PickleError('it calls what is no class')
    return { callable, args: args.items }
  }

  #build(): void {
    const state = this.#pop()
    const target = this.#top()
    if (state instanceof Map && target instanceof SessionObject && !target.state) {
      target.state = state
    } else if (state instanceof Map && target instanceof Instance && target.kind === 'UUID') {
      // A second state, or one after a constructor, makes it one of two arguments: no UUID.
      target.args.push(...(uuidArguments(state) ?? []))
    } else {
      throw new PickleError('it gives attributes to what has none')
    }
  }
}

/** In a damaged pickle the name may be anything, a visitor's values too: told only if it looks like one. */
function describeClass(name: string): string {
  return /^[A-Za-z_][\w.]{0,79}$/.test(name) ? `"${name}"` : 'a class of no proper name'
}
