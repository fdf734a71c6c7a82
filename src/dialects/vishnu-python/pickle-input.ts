import { Buffer, isUtf8 } from 'node:buffer'
import { MAX_INTEGER_BYTES } from './limits.js'
import { PickleError } from './pickle-error.js'

/** The longest integer in text that CPython reads (`sys.int_info.default_max_str_digits`): the conversion is quadratic. */
const MAX_DIGITS = 4300
const MAX_FLOAT_LENGTH = 400

/** The bytes of a pickle and the readers of its operands. A length is believed only after it was compared with what is left. */
export class PickleInput {
  readonly #bytes: Buffer
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get left(): number {
    return this.#bytes.length - this.#position
  }

  byte(): number {
    return this.#bytes[this.#skip(1)] as number
  }

  uint16(): number {
    return this.#bytes.readUInt16LE(this.#skip(2))
  }

  int32(): number {
    return this.#bytes.readInt32LE(this.#skip(4))
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.#skip(4))
  }

  /** A length. Above 2^53 it is not exact, and far longer than any pickle. */
  uint64(): number {
    return Number(this.#bytes.readBigUInt64LE(this.#skip(8)))
  }

  float64(): number {
    return this.#bytes.readDoubleBE(this.#skip(8))
  }

  /** A copy, since the pickle's buffer may be reused. */
  bytes(length: number): Uint8Array {
    const start = this.#skip(length)
    return new Uint8Array(this.#bytes.subarray(start, start + length))
  }

  /** UTF-8 in which lone surrogates may stand as three bytes each, as Python writes them. */
  text(length: number): string {
    const start = this.#skip(length)
    const text = this.#bytes.toString('utf8', start, start + length)
    return text.includes('\ufffd') ? decodeLeniently(this.#bytes.subarray(start, start + length)) : text
  }

  /** Little-endian two's complement. */
  integer(length: number): number | bigint {
    const start = this.#skip(length)
    if (length <= 6) return length === 0 ? 0 : this.#bytes.readIntLE(start, length)
    if (length > MAX_INTEGER_BYTES) throw new PickleError(`it has an integer of ${length} bytes`)
    const hex = Buffer.from(this.#bytes.subarray(start, start + length).toReversed()).toString('hex')
    return shortest(BigInt.asIntN(8 * length, BigInt(`0x${hex}`)))
  }

  /** Up to the newline, each byte one character. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#position)
    if (end === -1) throw new PickleError('it ends within a line')
    const line = this.#bytes.toString('latin1', this.#position, end)
    this.#position = end + 1
    return line
  }

  /** The index in a memo. */
  indexLine(): number {
    const line = this.line()
    if (!/^\d{1,9}$/.test(line)) throw new PickleError('it has a memo index that is no number')
    return Number(line)
  }

  integerLine(): number | bigint | boolean {
    const line = this.line()
    if (line === '00') return false
    if (line === '01') return true
    const digits = line.replace(/L$/, '')
    if (digits.length > MAX_DIGITS || !/^-?\d+$/.test(digits))
      throw new PickleError('it has an integer that is no number')
    // The zero is for `-0`, which an int can't be.
    return digits.length < 16 ? Number(digits) + 0 : shortest(BigInt(digits))
  }

  floatLine(): number {
    const line = this.line()
    if (/^-?inf$/.test(line)) return line === 'inf' ? Infinity : -Infinity
    if (line === 'nan') return Number.NaN
    if (line.length > MAX_FLOAT_LENGTH || !/^-?\d+(\.\d*)?(e[-+]?\d+)?$/.test(line)) {
      throw new PickleError('it has a float that is no number')
    }
    return Number(line)
  }

  /** The repr of a Python 2 `str`. */
  quotedLine(): Uint8Array {
    const line = this.line()
    const quote = line[0]
    if (line.length < 2 || (quote !== "'" && quote !== '"') || !line.endsWith(quote)) {
      throw new PickleError('it has a string without quotes')
    }
    const text = line.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|[^]|$)/g, (_, escape: string) => {
      const known = STRING_ESCAPES.get(escape)
      if (known !== undefined) return known
      if (/^x./.test(escape)) return String.fromCharCode(Number.parseInt(escape.slice(1), 16))
      if (/^[0-7]/.test(escape)) return String.fromCharCode(Number.parseInt(escape, 8) & 0xff)
      if (escape === '' || escape === 'x') throw new PickleError('it has a string with a broken escape')
      return `\\${escape}`
    })
    return new Uint8Array(Buffer.from(text, 'latin1'))
  }

  /** Latin-1 with `\uXXXX` and `\UXXXXXXXX`; a backslash before any other character is itself. */
  unicodeLine(): string {
    return this.line().replace(/\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([^]))/g, (whole, short, long, other) => {
      if (other === 'u' || other === 'U') throw new PickleError('it has text with a broken escape')
      if (other !== undefined) return whole
      const code = Number.parseInt(String(short ?? long), 16)
      if (code > 0x10ffff) throw new PickleError('it has text with a character that does not exist')
      return String.fromCodePoint(code)
    })
  }

  #skip(length: number): number {
    const start = this.#position
    if (length < 0 || length > this.#bytes.length - start) throw new PickleError('it is truncated')
    this.#position = start + length
    return start
  }
}

const STRING_ESCAPES = new Map([
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
])

function decodeLeniently(bytes: Buffer): string {
  let text = ''
  let start = 0
  const take = (end: number): void => {
    const part = bytes.subarray(start, end)
    if (!isUtf8(part)) throw new PickleError('it has text that is not UTF-8')
    text += part.toString()
  }
  // In UTF-8 proper 0xed is followed by 0x80 to 0x9f.
  for (let at = bytes.indexOf(0xed); at !== -1; at = bytes.indexOf(0xed, at + 1)) {
    const [second = 0, third = 0] = bytes.subarray(at + 1, at + 3)
    if (second < 0xa0 || second > 0xbf || third < 0x80 || third > 0xbf) continue
    take(at)
    text += String.fromCharCode(0xd000 | ((second & 0x3f) << 6) | (third & 0x3f))
    start = at + 3
  }
  take(bytes.length)
  return text
}

/** One way to hold each int: a number where it is exact. */
function shortest(integer: bigint): number | bigint {
  const number = Number(integer)
  return Number.isSafeInteger(number) ? number : integer
}
