import { Buffer } from 'node:buffer'
import { SessionError } from '../../errors.js'
import { MAX_OPERATIONS, MAX_WRITTEN_BYTES } from './limits.js'
import { classNames, type SessionClass } from './python-classes.js'
import {
  ByteString,
  eachChild,
  Instance,
  IntegerKey,
  PythonFloat,
  type PythonNode,
  Transient,
  Tuple,
} from './python-nodes.js'

export interface DataDict {
  readonly entries: Map<PythonNode, PythonNode>
  /** The dict that this one replaces: a value that contains the session's data itself refers to this object. */
  readonly origin: object
}

export function writeSession(
  className: SessionClass,
  expires: PythonNode,
  lastAccessed: PythonNode,
  data: DataDict,
): Buffer {
  const writer = new PickleWriter(data)
  writer.session(className, expires, lastAccessed, data)
  return writer.finish()
}

export function writeData(data: DataDict): Buffer {
  const writer = new PickleWriter(data)
  writer.data(data)
  return writer.finish()
}

/**
 * Writes pickles of protocol 2, which Python 2.7 and every Python 3 read. Only what is referred to more than once gets a
 * memo entry.
 */
class PickleWriter {
  #bytes = Buffer.allocUnsafe(512)
  #length = 0
  #operations = AROUND_DATA
  readonly #shared = new Set<object>()
  readonly #memo = new Map<object, number>()

  constructor(data: DataDict) {
    const seen = new Set<object>([data.origin])
    const path: object[] = []
    const survey = (node: PythonNode): void => {
      if (typeof node !== 'object' || node === null) return
      if (seen.has(node)) {
        this.#shared.add(node)
        // A tuple is remembered after its items only. Where it contains itself, the list or dict between has to end the circle.
        if (node instanceof Tuple && path.includes(node)) this.#shared.add(path.findLast(isRememberedFirst) ?? node)
        return
      }
      seen.add(node)
      path.push(node)
      eachChild(node, survey)
      path.pop()
    }
    eachChild(data.entries, survey)
    this.#codes(0x80 /* PROTO */, 2)
  }

  finish(): Buffer {
    this.#codes(0x2e /* STOP */)
    return this.#bytes.subarray(0, this.#length)
  }

  session(className: SessionClass, expires: PythonNode, lastAccessed: PythonNode, data: DataDict): void {
    this.#latin1(`cvishnu.backend.client\n${className}\n`)
    this.#codes(0x29 /* EMPTY_TUPLE */, 0x81 /* NEWOBJ */, 0x7d /* EMPTY_DICT */, 0x28 /* MARK */)
    this.#text('_expires')
    this.#node(expires)
    this.#text('_last_accessed')
    this.#node(lastAccessed)
    this.#text('_data')
    this.data(data)
    this.#codes(0x75 /* SETITEMS */, 0x62 /* BUILD */)
  }

  data({ entries, origin }: DataDict): void {
    this.#dict(entries, origin)
  }

  #node(node: PythonNode): void {
    this.#operations++
    switch (typeof node) {
      case 'boolean':
        return this.#codes(node ? 0x88 /* NEWTRUE */ : 0x89 /* NEWFALSE */)
      case 'number':
        return this.#integer(node)
      case 'bigint':
        return this.#long(node)
      case 'string':
        return this.#text(node)
      default:
        return node === null ? this.#codes(0x4e /* NONE */) : this.#object(node)
    }
  }

  #object(node: PythonNode & object): void {
    const index = this.#memo.get(node)
    if (index !== undefined) return this.#recall(index)
    if (node instanceof PythonFloat) return this.#float(node.value)
    if (node instanceof IntegerKey) return this.#node(node.value)
    if (node instanceof ByteString) return this.#byteString(node.bytes)
    if (node instanceof Tuple) return this.#tuple(node)
    if (Array.isArray(node)) return this.#list(node)
    if (node instanceof Map) return this.#dict(node)
    if (node instanceof Instance) this.#instance(node)
    else if (node instanceof Uint8Array) this.#binary(node)
    else if (node instanceof Transient) throw new TypeError('Unreachable: a finished value holds no classes')
    this.#memoize(node)
  }

  #integer(integer: number): void {
    if (integer >= 0 && integer <= 0xff) return this.#codes(0x4b /* BININT1 */, integer)
    if (integer >= 0 && integer <= 0xffff) return this.#codes(0x4d /* BININT2 */, integer & 0xff, integer >> 8)
    if (integer !== (integer | 0)) return this.#long(BigInt(integer))
    const start = this.#reserve(5)
    this.#bytes[start] = 0x4a // BININT
    this.#bytes.writeInt32LE(integer, start + 1)
  }

  #long(integer: bigint): void {
    // Room for the sign.
    const size = Math.floor((integer < 0n ? ~integer : integer).toString(16).length / 2) + 1
    const hex = BigInt.asUintN(8 * size, integer)
      .toString(16)
      .padStart(2 * size, '0')
    if (size <= 0xff) this.#codes(0x8a /* LONG1 */, size)
    else this.#sized(0x8b /* LONG4 */, size)
    this.#append(Buffer.from(hex, 'hex').toReversed())
  }

  #float(value: number): void {
    const start = this.#reserve(9)
    this.#bytes[start] = 0x47 // BINFLOAT
    this.#bytes.writeDoubleBE(value, start + 1)
  }

  #text(text: string): void {
    if (LONE_SURROGATE.test(text)) {
      const bytes = Buffer.concat(text.split(LONE_SURROGATES).map(encodePiece))
      this.#sized(0x58 /* BINUNICODE */, bytes.length)
      return this.#append(bytes)
    }
    const size = Buffer.byteLength(text)
    this.#sized(0x58 /* BINUNICODE */, size)
    const start = this.#reserve(size)
    this.#bytes.write(text, start)
  }

  #byteString(bytes: Uint8Array): void {
    if (bytes.length <= 0xff) this.#codes(0x55 /* SHORT_BINSTRING */, bytes.length)
    else this.#sized(0x54 /* BINSTRING */, bytes.length)
    this.#append(bytes)
  }

  #binary(bytes: Uint8Array): void {
    if (bytes.length === 0) {
      this.#latin1('c__builtin__\nbytes\n')
      return this.#codes(0x29 /* EMPTY_TUPLE */, 0x52 /* REDUCE */)
    }
    this.#latin1('c_codecs\nencode\n')
    this.#text(Buffer.from(bytes).toString('latin1'))
    this.#text('latin1')
    this.#codes(0x86 /* TUPLE2 */, 0x52 /* REDUCE */)
  }

  #tuple(tuple: Tuple): void {
    const { items } = tuple
    const size = items.length
    if (size > 3) this.#codes(0x28 /* MARK */)
    for (const item of items) this.#node(item)
    // A tuple that contains itself, by way of a list, was written in the midst of its items: these were one too many.
    const index = this.#memo.get(tuple)
    if (index !== undefined) {
      this.#codes(...(size > 3 ? [0x31 /* POP_MARK */] : Array<number>(size).fill(0x30 /* POP */)))
      return this.#recall(index)
    }
    this.#codes([0x29 /* EMPTY_TUPLE */, 0x85, 0x86, 0x87 /* TUPLE1 to 3 */][size] ?? 0x74 /* TUPLE */)
    this.#memoize(tuple)
  }

  #list(list: readonly PythonNode[]): void {
    this.#codes(0x5d /* EMPTY_LIST */)
    this.#memoize(list)
    if (list.length === 0) return
    this.#codes(0x28 /* MARK */)
    for (const item of list) this.#node(item)
    this.#codes(0x65 /* APPENDS */)
  }

  #dict(dict: ReadonlyMap<PythonNode, PythonNode>, identity: object = dict): void {
    this.#codes(0x7d /* EMPTY_DICT */)
    this.#memoize(identity)
    if (dict.size === 0) return
    this.#codes(0x28 /* MARK */)
    for (const [key, value] of dict) {
      this.#node(key)
      this.#node(value)
    }
    this.#codes(0x75 /* SETITEMS */)
  }

  #instance({ kind, args }: Instance): void {
    this.#latin1(`c${classNames[kind]}`)
    this.#codes(0x28 /* MARK */)
    for (const arg of args) this.#node(arg)
    this.#codes(0x74 /* TUPLE */, 0x52 /* REDUCE */)
  }

  #memoize(node: object): void {
    this.#operations += MOST_AROUND_CONTENTS
    if (!this.#shared.has(node)) return
    const index = this.#memo.size
    this.#memo.set(node, index)
    if (index <= 0xff) this.#codes(0x71 /* BINPUT */, index)
    else this.#sized(0x72 /* LONG_BINPUT */, index)
  }

  #recall(index: number): void {
    if (index <= 0xff) this.#codes(0x68 /* BINGET */, index)
    else this.#sized(0x6a /* LONG_BINGET */, index)
  }

  #codes(...codes: readonly number[]): void {
    const start = this.#reserve(codes.length)
    for (const [index, code] of codes.entries()) this.#bytes[start + index] = code
  }

  #sized(code: number, size: number): void {
    const start = this.#reserve(5)
    this.#bytes[start] = code
    this.#bytes.writeUInt32LE(size, start + 1)
  }

  #latin1(text: string): void {
    const start = this.#reserve(text.length)
    this.#bytes.write(text, start, 'latin1')
  }

  #append(bytes: Uint8Array): void {
    const start = this.#reserve(bytes.length)
    this.#bytes.set(bytes, start)
  }

  #reserve(size: number): number {
    const start = this.#length
    this.#length += size
    if (this.#length > MAX_WRITTEN_BYTES || this.#operations > MAX_OPERATIONS) {
      throw new SessionError('ERR_TOO_LARGE', 'The session is larger than this library would read from Python')
    }
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(2 * this.#length)
      larger.set(this.#bytes.subarray(0, start))
      this.#bytes = larger
    }
    return start
  }
}

function isRememberedFirst(node: object): boolean {
  return Array.isArray(node) || node instanceof Map
}

/** The instructions of a session without its data, with some to spare. */
const AROUND_DATA = 50

/** The instructions that make an object of its contents, at most: those of bytes. */
const MOST_AROUND_CONTENTS = 5

const LONE_SURROGATE = /\p{Surrogate}/u
const LONE_SURROGATES = /(\p{Surrogate})/u

/** Python writes a lone surrogate as three bytes, which is not UTF-8. */
function encodePiece(text: string): Buffer {
  if (!LONE_SURROGATE.test(text)) return Buffer.from(text)
  const code = text.charCodeAt(0)
  return Buffer.from([0xed, 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)])
}
