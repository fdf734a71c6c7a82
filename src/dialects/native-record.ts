import { Buffer } from 'node:buffer'
import {
  type AtRest,
  type Changes,
  type EncodedValue,
  type StoredRecord,
  type Tombstone,
  type Values,
} from '../record.js'

/*
 * A native record is text, one value a line:
 *
 *     vishnu1 <key> <stamp> <created> <absolute> <timeout> <public id> <byte length of what follows this line>
 *     "key"<tab>value
 *     …
 *
 * JSON text holds no raw newline or tab, so a line is found by its key without parsing any other, and a changed value
 * costs one line while the rest is copied as it is. `timeout` is `-` where the session follows the configuration.
 * A tombstone is `vishnu1 <key> <stamp> gone <successor's key or ->` and nothing else.
 */
const FORMAT = 'vishnu1'
const ABSENT = '-'
const NEWLINE = 0x0a
const TAB = 0x09

/** After so many searches from the beginning an index pays. Without one, to go through all keys takes quadratic time. */
const SEARCHES_WITHOUT_INDEX = 32

/** Where in the bytes a line is. `end` is behind its newline. */
interface Line {
  readonly start: number
  readonly value: number
  readonly end: number
}

/** The lines of a record, from the newline that ends its header on, so that every line begins after a newline. */
class Lines implements Values {
  readonly bytes: Buffer
  #searches = 0
  /** By the bytes of the key as JSON. */
  #index: Map<string, Line> | undefined

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  has(key: string): boolean {
    return this.#find(key) !== undefined
  }

  get(key: string): string | undefined {
    const line = this.#find(key)
    return line && this.bytes.toString('utf8', line.value, line.end - 1)
  }

  *keys(): Iterable<string> {
    for (const line of this.#all()) {
      const key = parseKey(this.bytes.toString('utf8', line.start, line.value - 1))
      if (key !== undefined) yield key
    }
  }

  with(changes: Changes): Lines {
    const base = changes.spared ? this.#only(changes.spared) : this
    const replaced: { start: number; end: number; line: Buffer }[] = []
    const added: Buffer[] = []
    for (const [key, { encoded }] of changes.byKey) {
      const line = encodeLine(key, encoded)
      const old = base.#find(key)
      if (old) replaced.push({ ...old, line })
      else added.push(line)
    }
    replaced.sort((one, other) => one.start - other.start)

    const pieces: Buffer[] = []
    let copied = 0
    for (const { start, end, line } of replaced) {
      pieces.push(base.bytes.subarray(copied, start), line)
      copied = end
    }
    pieces.push(base.bytes.subarray(copied), ...added)
    return new Lines(Buffer.concat(pieces))
  }

  #only(keys: ReadonlySet<string>): Lines {
    const kept = [...keys].map((key) => this.#find(key)).filter((line) => line !== undefined)
    return new Lines(Buffer.concat([NO_LINES, ...kept.map(({ start, end }) => this.bytes.subarray(start, end))]))
  }

  #find(key: string): Line | undefined {
    if (this.#index || ++this.#searches > SEARCHES_WITHOUT_INDEX) {
      this.#index ??= this.#makeIndex()
      return this.#index.get(Buffer.from(JSON.stringify(key)).toString('latin1'))
    }
    const head = `\n${JSON.stringify(key)}\t`
    const at = this.bytes.indexOf(head)
    if (at === -1) return undefined
    const value = at + Buffer.byteLength(head)
    return { start: at + 1, value, end: this.bytes.indexOf(NEWLINE, value) + 1 }
  }

  #makeIndex(): Map<string, Line> {
    const index = new Map<string, Line>()
    for (const line of this.#all()) {
      const key = this.bytes.toString('latin1', line.start, line.value - 1)
      if (!index.has(key)) index.set(key, line)
    }
    return index
  }

  /** A line without a tab is none of ours. Each byte is looked at once: a damaged record may be all line ends. */
  *#all(): Iterable<Line> {
    let tab = 0
    for (let start = 1; start < this.bytes.length;) {
      const end = this.bytes.indexOf(NEWLINE, start) + 1
      if (tab < start) tab = this.bytes.indexOf(TAB, start)
      if (tab === -1) return
      if (tab < end) yield { start, value: tab + 1, end }
      start = end
    }
  }
}

const NO_LINES = Buffer.from('\n')

export const noValues: Values = new Lines(NO_LINES)

export function encodeRecord(key: string, record: StoredRecord): Buffer {
  const { stamp, created, absolute, timeout, publicId } = record.header
  const lines = (record.values as Lines).bytes
  const length = lines.length - 1
  return Buffer.concat([
    Buffer.from(`${FORMAT} ${key} ${stamp} ${created} ${absolute} ${timeout ?? ABSENT} ${publicId} ${length}`),
    lines,
  ])
}

export function encodeTombstone(key: string, { stamp, successor }: Tombstone): Buffer {
  return Buffer.from(`${FORMAT} ${key} ${stamp} gone ${successor ?? ABSENT}\n`)
}

export function decodeRecord(key: string, value: Uint8Array): AtRest {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const end = bytes.indexOf(NEWLINE)
  const [format, owner, ...fields] = bytes.toString('latin1', 0, Math.max(end, 0)).split(' ')
  if (format !== FORMAT) return { kind: 'corrupt', reason: 'it is not a record of this version' }
  if (owner !== key) return { kind: 'foreign' }

  const [stamp, second = '', third = ''] = fields
  if (stamp && second === 'gone' && fields.length === 3) {
    return { kind: 'tombstone', tombstone: { stamp, successor: third === ABSENT ? undefined : third } }
  }
  const [, created, absolute, timeout, publicId, length] = fields
  const header = {
    stamp: stamp ?? '',
    created: Number(created),
    absolute: Number(absolute),
    timeout: timeout === ABSENT ? undefined : Number(timeout),
    publicId: publicId ?? '',
  }
  // Told as a number, never as the text that stands there: if the line's end was lost, that text is the visitor's values.
  const expected = Number(length)
  const isWhole =
    fields.length === 6 && [header.created, header.absolute, header.timeout ?? 0, expected].every(Number.isSafeInteger)
  if (!isWhole) return { kind: 'corrupt', reason: 'its header is damaged' }
  const lines = bytes.subarray(end)
  const actual = lines.length - 1
  if (actual !== expected || lines.at(-1) !== NEWLINE) {
    return { kind: 'corrupt', reason: `it should have ${expected} bytes after its header and has ${actual}` }
  }
  return { kind: 'session', record: { header, values: new Lines(lines) } }
}

function encodeLine(key: string, encoded: EncodedValue | undefined): Buffer {
  return Buffer.from(encoded === undefined ? '' : `${JSON.stringify(key)}\t${encoded as string}\n`)
}

function parseKey(text: string): string | undefined {
  try {
    const key: unknown = JSON.parse(text)
    return typeof key === 'string' ? key : undefined
  } catch {
    // A damaged line is kept and not listed; the others are as good as ever.
    return undefined
  }
}
