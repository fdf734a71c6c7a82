import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import type { Dialect } from '../dialect.js'
import { decodeRecord } from '../dialects/native-record.js'
import { decodeValue } from '../dialects/native-value.js'
import { messageOf } from '../errors.js'
import type { AtRest, StoredRecord, Values } from '../record.js'
import { bytes, dateOf, type Explanation } from './explanation.js'
import { grouped } from './terminal.js'

/** A record, and what is known of it besides. */
export interface GivenRecord {
  readonly atRest: AtRest
  readonly size: number
  readonly decodeValue: Dialect['decodeValue']
  /** Epoch milliseconds; undefined if the backend does not tell. */
  readonly deadline: number | undefined
}

const MARK = 'vishnu1 '
/** Redis and Memcached keep a token and the deadline in front of a record. */
const LONGEST_HEAD = 64
/** More than anybody reads on a terminal. */
const MOST_VALUES = 500
const DEADLINE_AT_END = /(\d{13})\n$/

/** The record in what a database's own tool has printed: raw, with a newline after it, or quoted as `redis-cli` does. */
export function findRecord(input: Buffer): GivenRecord | undefined {
  const stored = unquoted(input)
  const start = stored.subarray(0, LONGEST_HEAD + MARK.length).indexOf(MARK)
  if (start === -1) return undefined
  const head = stored.toString('latin1', 0, start)
  const deadline = DEADLINE_AT_END.exec(head)?.[1]
  const record = withoutAddedNewline(stored.subarray(start))
  return {
    atRest: decode(record),
    size: record.length,
    decodeValue: (key, encoded) => decodeValue(key, encoded as string),
    deadline: deadline === undefined ? undefined : Number(deadline),
  }
}

/** Most tools print a newline after a value. */
function withoutAddedNewline(record: Buffer): Buffer {
  const shorter = record.subarray(0, -1)
  return decode(record).kind === 'corrupt' && decode(shorter).kind !== 'corrupt' ? shorter : record
}

/** Without the key it was stored under, a record can only be held to the one that it names itself. */
function decode(record: Buffer): AtRest {
  const [, owner = ''] = record.toString('latin1', 0, 256).split(/[ \n]/)
  return decodeRecord(owner, record)
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b' }

function unquoted(input: Buffer): Buffer {
  const text = input.toString('latin1').trim()
  if (!text.startsWith('"') || !text.endsWith('"') || text.length < 2) return input
  const unescaped = text
    .slice(1, -1)
    .replace(/\\(?:x([\da-f]{2})|(.))/gi, (_, hex: string | undefined, character = '') =>
      hex === undefined ? (ESCAPES[character] ?? character) : String.fromCharCode(parseInt(hex, 16)),
    )
  return Buffer.from(unescaped, 'latin1')
}

export function explainRecord(given: GivenRecord, showValues: boolean): Explanation {
  const { atRest, size, deadline } = given
  const facts: [string, string][] = [['size', bytes(size)]]
  switch (atRest.kind) {
    case 'session':
      if (deadline !== undefined) facts.push(['ends', `${dateOf(deadline)}, if it is not used before`])
      facts.push(...factsOf(atRest.record, showValues ? given.decodeValue : undefined))
      return { title: 'A session', facts, isSound: true }
    case 'tombstone':
      if (deadline !== undefined) facts.push(['kept until', dateOf(deadline)])
      facts.push(['ended by', atRest.tombstone.successor === undefined ? 'a log-out' : 'a move to a new id'])
      return { title: 'The tombstone of a session', facts, isSound: true }
    case 'foreign':
      facts.push(['problem', 'it belongs to another key'])
      return { title: 'A record of another session', facts, isSound: false }
    case 'corrupt':
      facts.push(['problem', atRest.reason])
      return { title: 'A damaged record', facts, isSound: false }
  }
}

/** Without a way to decode them the values are not shown. */
function* factsOf(
  { header, values }: StoredRecord,
  decodeShown: GivenRecord['decodeValue'] | undefined,
): Iterable<[string, string]> {
  const { publicId, created, absolute, timeout } = header
  yield ['public id', publicId]
  yield ['created', dateOf(created)]
  yield ['ends at last', absolute === 0 ? 'never, if it is used' : dateOf(absolute)]
  yield ['timeout', timeout === undefined ? 'as configured' : timeout === 0 ? 'none' : `${grouped(timeout)} seconds`]
  const keys = [...values.keys()]
  yield [
    'values',
    keys.length === 0 || decodeShown ? grouped(keys.length) : `${grouped(keys.length)}, shown with --values`,
  ]
  for (const key of keys.slice(0, MOST_VALUES)) yield [`  ${JSON.stringify(key)}`, valueOf(values, key, decodeShown)]
  if (keys.length > MOST_VALUES) yield ['  …', `and ${grouped(keys.length - MOST_VALUES)} more`]
}

function valueOf(values: Values, key: string, decodeShown: GivenRecord['decodeValue'] | undefined): string {
  const encoded = values.get(key)
  if (encoded === undefined) return 'damaged'
  if (!decodeShown) return typeof encoded === 'string' ? bytes(Buffer.byteLength(encoded)) : 'not shown'
  try {
    return inspect(decodeShown(key, encoded), { depth: null, compact: true, breakLength: Infinity })
  } catch (error) {
    return `damaged: ${messageOf(error)}`
  }
}
