import { Buffer } from 'node:buffer'

/*
 * Protocol Buffers, as much of them as this service speaks: https://protobuf.dev/programming-guides/encoding/. Groups, an
 * early form of messages within messages, are what most libraries have dropped and this service still uses.
 */

const [VARINT, FIXED64, BYTES, GROUP_START, GROUP_END, FIXED32] = [0, 1, 2, 3, 4, 5] as const

/** A field's name is its number. */
export const field = {
  varint: (number: number, value: number): Buffer => Buffer.concat([tag(number, VARINT), varint(value)]),
  bytes: (number: number, value: string | Uint8Array): Buffer => {
    const bytes = Buffer.from(value)
    return Buffer.concat([tag(number, BYTES), varint(bytes.length), bytes])
  },
  group: (number: number, fields: readonly Buffer[]): Buffer =>
    Buffer.concat([tag(number, GROUP_START), ...fields, tag(number, GROUP_END)]),
  fixed32: (number: number, value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    return Buffer.concat([tag(number, FIXED32), bytes])
  },
  fixed64: (number: number, value: bigint): Buffer => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(value)
    return Buffer.concat([tag(number, FIXED64), bytes])
  },
}

function tag(number: number, type: number): Buffer {
  return varint(number * 8 + type)
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128)
  return Buffer.from([...bytes, value])
}

type Value = number | bigint | Buffer | Message

/**
 * What was read. A field of another type than is asked for counts as absent. Of a field that is there more than once the
 * last counts, as the encoding has it; nothing here asks for several items at a time.
 */
export class Message {
  readonly #values: ReadonlyMap<number, Value>

  private constructor(values: ReadonlyMap<number, Value>) {
    this.#values = values
  }

  /** @throws `RangeError` for what is no message. */
  static parse(bytes: Uint8Array): Message {
    const reader = new Reader(bytes)
    const values = new Map<number, Value>()
    while (!reader.isAtEnd) {
      if (Message.#readField(reader, values) !== undefined) throw strayEnd()
    }
    return new Message(values)
  }

  /** The number of the group that ends here, if one does. */
  static #readField(reader: Reader, values: Map<number, Value>): number | undefined {
    const head = reader.varint()
    const [number, type] = [Math.floor(head / 8), head % 8]
    if (type === GROUP_END) return number
    values.set(number, type === GROUP_START ? Message.#readGroup(reader, number) : reader.value(type))
    return undefined
  }

  static #readGroup(reader: Reader, number: number): Message {
    const values = new Map<number, Value>()
    let ended: number | undefined
    while (ended === undefined) ended = Message.#readField(reader, values)
    if (ended !== number) throw strayEnd()
    return new Message(values)
  }

  has(number: number): boolean {
    return this.#values.has(number)
  }

  bytes(number: number): Buffer | undefined {
    const value = this.#values.get(number)
    return value instanceof Buffer ? value : undefined
  }

  /** A varint: numbers, enumerations. */
  number(number: number): number | undefined {
    const value = this.#values.get(number)
    return typeof value === 'number' ? value : undefined
  }

  fixed64(number: number): bigint | undefined {
    const value = this.#values.get(number)
    return typeof value === 'bigint' ? value : undefined
  }

  group(number: number): Message | undefined {
    const value = this.#values.get(number)
    return value instanceof Message ? value : undefined
  }
}

function strayEnd(): RangeError {
  return new RangeError('a group ends that has not begun')
}

class Reader {
  readonly #bytes: Buffer
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isAtEnd(): boolean {
    return this.#position === this.#bytes.length
  }

  value(type: number): number | bigint | Buffer {
    if (type === VARINT) return this.varint()
    if (type === BYTES) return this.#take(this.varint())
    if (type === FIXED64) return this.#take(8).readBigUInt64LE()
    if (type === FIXED32) return this.#take(4).readUInt32LE()
    throw new RangeError(`there is no wire type ${type}`)
  }

  /** Exact up to 2 ** 53, which is more than any number that is used here. */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const [byte = 0] = this.#take(1)
      value += (byte % 128) * 2 ** shift
      if (byte < 128) return value
    }
    throw new RangeError('a number is too long')
  }

  #take(length: number): Buffer {
    const end = this.#position + length
    if (end > this.#bytes.length) throw new RangeError('the message is cut off')
    const taken = this.#bytes.subarray(this.#position, end)
    this.#position = end
    return taken
  }
}
