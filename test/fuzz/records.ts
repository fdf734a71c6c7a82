import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { nativeDialect } from '../../src/dialects/native.js'
import { vishnuPython } from '../../src/dialects/vishnu-python.js'
import type { Dialect } from '../../src/dialect.js'
import { SessionError } from '../../src/errors.js'
import { Changes, type Values } from '../../src/record.js'
import native from '../fixtures/native-v1.json' with { type: 'json' }
import { bytesOf, pickles } from '../helpers/python-fixtures.js'
import { type Below, type FuzzTarget, pickFrom } from './fuzz-target.js'

/** Processor time: on a busy machine the clock says nothing. */
const MAX_MILLISECONDS = 1000
/** A shorter piece may be in a record by chance: " string ". */
const QUOTE = 12
const ADDED = 'a value more'
const UNREADABLE = { refused: true }

const PICKLE_OPCODES = Buffer.from(
  '().012FGIJKLMNRSTUVXabcdeghjlpqrstu]}\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8e\x8f\x90\x91\x93\x94\x95\x96',
  'latin1',
)

type Damage = (bytes: Buffer, below: Below, other: Buffer) => Buffer

/** Ways to damage bytes, of which there is one at least. */
const damages: readonly Damage[] = [
  (bytes, below) => Buffer.from(bytes).fill(below(256), below(bytes.length)),
  (bytes, below) => {
    const copy = Buffer.from(bytes)
    for (let times = 1 + below(4); times > 0; times--) copy[below(copy.length)] = below(256)
    return copy
  },
  (bytes, below) => {
    const copy = Buffer.from(bytes)
    copy[below(copy.length)]! ^= 1 << below(8)
    return copy
  },
  (bytes, below) => Buffer.concat([bytes.subarray(0, below(bytes.length)), bytes.subarray(below(bytes.length))]),
  (bytes, below) => {
    const at = below(bytes.length)
    const opcodes = Array.from({ length: 1 + below(6) }, () => PICKLE_OPCODES[below(PICKLE_OPCODES.length)]!)
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(opcodes), bytes.subarray(at)])
  },
  (bytes, below) => {
    const start = below(bytes.length)
    const piece = bytes.subarray(start, start + 1 + below(64))
    const repeated = Array.from({ length: 1 + below(200) }, () => piece)
    return Buffer.concat([bytes.subarray(0, start), ...repeated, bytes.subarray(start)])
  },
  (bytes, below, other) => Buffer.concat([bytes.subarray(0, below(bytes.length)), other.subarray(below(other.length))]),
]

/**
 * Every form of record that there is. Whatever the bytes, they are refused in time, or are a session whose values are read or
 * refused one by one, and which can be written again, with one value more, and is then the same.
 */
export function recordTargets(below: Below): FuzzTarget[] {
  const options = { secrets: ['for no cookie'], encryptKeys: [], cookieName: 'vishnu', random: randomBytes }
  const columns = Buffer.from('{"expires":1700000000000,"last_accessed":1699996400000}\n')
  const forms = [
    {
      name: 'native record',
      dialect: nativeDialect(options),
      samples: [native.record, native.tombstone, native.rotationTombstone].map((text) => Buffer.from(text)),
    },
    {
      name: 'record of the Python library',
      dialect: vishnuPython()(options),
      samples: [...pickles.records, ...pickles.others].map(bytesOf),
    },
    {
      name: 'NDB record of the Python library',
      dialect: vishnuPython({ format: 'ndb' })(options),
      samples: pickles.compressed.map((record) => Buffer.concat([columns, bytesOf(record)])),
    },
  ]
  return forms.map(({ name, dialect, samples }) => {
    const short = samples.filter(({ length }) => length > 0 && length < 20_000)
    return {
      name,
      damaged: () => damagedRecord(short, below),
      attempt: async (text) => inTime(() => read(dialect, Buffer.from(text, 'base64'))),
    }
  })
}

function damagedRecord(samples: readonly Buffer[], below: Below): string {
  let bytes = pickFrom(below, samples)
  for (let times = 1 + below(3); times > 0 && bytes.length > 0; times--) {
    bytes = pickFrom(below, damages)(bytes, below, pickFrom(below, samples))
  }
  return bytes.toString('base64')
}

function inTime<T>(work: () => T): T {
  const start = process.cpuUsage()
  const result = work()
  const { user, system } = process.cpuUsage(start)
  const milliseconds = Math.round((user + system) / 1000)
  if (milliseconds > MAX_MILLISECONDS) throw new Error(`It took ${milliseconds} ms`)
  return result
}

function read(dialect: Dialect, bytes: Buffer): string {
  const found = dialect.decode(native.key, bytes)
  if (found.kind === 'corrupt') {
    expect(quoted(found.reason, bytes)).toEqual([])
    return found.reason
  }
  if (found.kind !== 'session') return `a ${found.kind}`

  const { header, values } = found.record
  const times = found.times ?? { expires: undefined, lastUsed: undefined }
  const written = (changed: Values): ReadonlyMap<string, object> => {
    const { bytes: again } = dialect.encode(native.key, { header, values: changed }, times)
    const reread = dialect.decode(native.key, again)
    if (reread.kind !== 'session') throw new Error(`Written again, it is ${reread.kind}`)
    return readable(dialect, reread.record.values)
  }
  const before = readable(dialect, values)
  expect(written(values)).toEqual(before)

  const changes = new Changes()
  changes.set(ADDED, dialect.encodeValue(ADDED, 1))
  const after = written(values.with(changes))
  expect(after.get(ADDED)).toEqual({ value: 1 })
  // Not the values too: one of Python's may hold the session's own dict.
  expect(new Set(after.keys())).toEqual(new Set([...before.keys(), ADDED]))
  return [...before.values()].includes(UNREADABLE) ? 'a session with values that are refused' : 'a session'
}

/** What a reason tells of the record, which is the visitor's own. The name of a Python class is not. */
function quoted(reason: string, bytes: Buffer): string[] {
  const told = reason.replace(/"[A-Za-z_][\w.]*"/, '')
  const pieces = Array.from({ length: Math.max(0, told.length - QUOTE + 1) }, (_, at) => told.slice(at, at + QUOTE))
  return pieces.filter((piece) => bytes.includes(piece, 0, 'latin1') || bytes.includes(piece))
}

function readable(dialect: Dialect, values: Values): Map<string, object> {
  const result = new Map<string, object>()
  for (const key of values.keys()) {
    try {
      result.set(key, { value: dialect.decodeValue(key, values.get(key)!) })
    } catch (error) {
      if (!(error instanceof SessionError && error.code === 'ERR_RECORD')) throw error
      result.set(key, UNREADABLE)
    }
  }
  return result
}
