import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nativeDialect } from '../src/dialects/native.js'
import { decodeRecord, encodeRecord, encodeTombstone, noValues } from '../src/dialects/native-record.js'
import { type AtRest, Changes, type Header, type StoredRecord, type Values } from '../src/record.js'
import recorded from './fixtures/native-v1.json' with { type: 'json' }
import { seededRandom } from './helpers/random.js'
import { counterexample } from './helpers/unit-property.js'

const KEY = 'k'.repeat(43)
const OTHER_KEY = 'o'.repeat(43)
const header: Header = {
  stamp: 'c3RhbXAtc3RhbXAx',
  created: Date.UTC(2026, 0, 1),
  absolute: 0,
  timeout: undefined,
  publicId: 'cHVibGljaWQx',
}
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** undefined deletes. */
type Entry = [key: string, value: string | undefined]

function changes(entries: Iterable<Entry>, spared?: Iterable<string>): Changes {
  const result = new Changes()
  for (const [key, value] of entries) {
    if (value === undefined) result.remove(key)
    else result.set(key, value)
  }
  if (spared) result.spared = new Set(spared)
  return result
}

function valuesOf(entries: Record<string, string> | Iterable<[string, string]>): Values {
  return noValues.with(changes(Symbol.iterator in entries ? entries : Object.entries(entries)))
}

function encode(values: Values, more: Partial<Header> = {}): Uint8Array {
  return encodeRecord(KEY, { header: { ...header, ...more }, values })
}

function session(found: AtRest): StoredRecord {
  if (found.kind !== 'session') throw new Error(`This is no session but ${JSON.stringify(found)}`)
  return found.record
}

function reread(values: Values): Values {
  return session(decodeRecord(KEY, encode(values))).values
}

function entriesOf(values: Values): [string, unknown][] {
  return [...values.keys()].map((key) => [key, values.get(key)])
}

const strangeKeys = [
  '',
  ' ',
  'a',
  'ab',
  'a"b',
  '"a"',
  'a\tb',
  '\t',
  'a\nb',
  '\n',
  '\n"a"\t',
  'a\\',
  '__proto__',
  'constructor',
  'toString',
  'é',
  'e\u0301',
  '😀',
  '\ud800',
  '\u2028',
  '\0',
  'vishnu1',
  'gone',
  '-',
  'x'.repeat(10_000),
]

describe('a record', () => {
  test('comes back as it was written', () => {
    const headers: Partial<Header>[] = [
      {},
      { timeout: 0 },
      { timeout: 3600, absolute: 1_800_000_000_000 },
      { created: 0, absolute: Number.MAX_SAFE_INTEGER },
    ]
    for (const more of headers) {
      const read = session(decodeRecord(KEY, encode(valuesOf({ a: '1', b: '{"c":[true]}' }), more)))
      expect(read.header).toEqual({ ...header, ...more })
      expect(entriesOf(read.values)).toEqual([
        ['a', '1'],
        ['b', '{"c":[true]}'],
      ])
    }
  })

  test('is readable text: a header line, then one line for each value', () => {
    const text = textOf(encode(valuesOf({ user: '"ada"', 'a\tb': '[1]' }), { timeout: 60, absolute: 7 }))
    expect(text).toBe(
      `vishnu1 ${KEY} c3RhbXAtc3RhbXAx 1767225600000 7 60 cHVibGljaWQx 24\n"user"\t"ada"\n"a\\tb"\t[1]\n`,
    )
    expect(textOf(encode(noValues))).toBe(`vishnu1 ${KEY} c3RhbXAtc3RhbXAx 1767225600000 0 - cHVibGljaWQx 0\n`)
  })

  test('counts bytes, not characters', () => {
    const text = textOf(encode(valuesOf({ é: '"😀"' })))
    expect(text.split('\n')[0]).toMatch(/ 12$/)
    expect(entriesOf(reread(valuesOf({ é: '"😀"' })))).toEqual([['é', '"😀"']])
  })

  test('keeps any key apart from any other', () => {
    const values = reread(valuesOf(strangeKeys.map((key, index) => [key, `${index}`])))
    expect([...values.keys()]).toEqual(strangeKeys)
    for (const [index, key] of strangeKeys.entries()) {
      expect([key, values.has(key), values.get(key)]).toEqual([key, true, `${index}`])
    }
    for (const absent of ['b', 'abc', 'A', '__proto', 'hasOwnProperty', '1', '"', 'x'.repeat(9_999)]) {
      expect([absent, values.has(absent), values.get(absent)]).toEqual([absent, false, undefined])
    }
  })

  test('finds no key within a value', () => {
    const values = reread(
      valuesOf([
        ['a', JSON.stringify('\n"b"\t1\n')],
        ['c', '{"b":1}'],
      ]),
    )
    expect(values.has('b')).toBe(false)
    expect([...values.keys()]).toEqual(['a', 'c'])
  })

  test('does not depend on where its bytes lie in memory', () => {
    const bytes = encode(valuesOf({ a: '1', b: '2' }))
    const pool = new Uint8Array(bytes.length + 20).fill(0x0a)
    pool.set(bytes, 10)
    const read = session(decodeRecord(KEY, pool.subarray(10, 10 + bytes.length)))
    expect(entriesOf(read.values)).toEqual([
      ['a', '1'],
      ['b', '2'],
    ])
  })
})

describe('one line', () => {
  const broken = `"good"\t1\n"bad"\t{not json\n"b"ad"\t2\nnonsense\n\t\n\n"last"\t3\n`
  const text = `vishnu1 ${KEY} stamp 0 0 - public ${broken.length}\n${broken}`

  test('is read without a look at the others, however damaged they are', () => {
    const { values } = session(decodeRecord(KEY, bytesOf(text)))
    expect(values.get('good')).toBe('1')
    expect(values.get('last')).toBe('3')
    expect(values.get('bad')).toBe('{not json')
    expect(values.has('missing')).toBe(false)
    expect(new Set(values.keys())).toEqual(new Set(['good', 'bad', 'last']))
  })

  test('is found alike by the first search and by the hundredth', () => {
    const lines = Buffer.from(`"a"\t1\n"a"\t2\n"é"\t3\nno tab\n"b"ad"\t4\n"?"\t5\n\t\n\n"\\u0062"\t6\n"c"\t7\n`)
    // No UTF-8: what it is decoded to is no key either.
    lines[lines.indexOf('?')] = 0xff
    const bytes = Buffer.concat([Buffer.from(`vishnu1 ${KEY} stamp 0 0 - public ${lines.length}\n`), lines])
    const read = (): Values => session(decodeRecord(KEY, bytes)).values
    const searched = read()
    for (let count = 0; count < 100; count++) searched.has('a')
    const found: Record<string, string | undefined> = { a: '1', é: '3', c: '7' }
    for (const key of ['a', 'é', 'c', 'b', 'b"ad', 'no tab', '?', '\ufffd', '\xff', '', '\t', '__proto__']) {
      const expected = Object.hasOwn(found, key) ? found[key] : undefined
      expect([key, read().get(key), searched.get(key)]).toEqual([key, expected, expected])
    }
  })

  test('is none in two million line ends, which are gone through at once', () => {
    const length = 2_000_000
    const empty = `vishnu1 ${KEY} stamp 0 0 - public ${length}\n${'\n'.repeat(length)}`
    const { values } = session(decodeRecord(KEY, bytesOf(empty)))
    expect([...values.keys()]).toEqual([])
  })

  test('of 50,000 is found so fast that all of them can be read and changed', () => {
    const entries = Array.from({ length: 50_000 }, (_, index): [string, string] => [`key ${index}`, `${index}`])
    const values = reread(valuesOf(entries))
    expect(entriesOf(values)).toEqual(entries)
    const increased = entries.map(([key, value]): [string, string] => [key, `${value}0`])
    expect(entriesOf(reread(values.with(changes(increased))))).toEqual(increased)
  })

  test('is changed without a change to any other byte', () => {
    const { values, header: read } = session(decodeRecord(KEY, bytesOf(text)))
    const changed = textOf(encodeRecord(KEY, { header: read, values: values.with(changes([['good', '[10]']])) }))
    expect(changed).toBe(
      `vishnu1 ${KEY} stamp 0 0 - public ${broken.length + 3}\n${broken.replace('"good"\t1', '"good"\t[10]')}`,
    )
  })

  test('keeps its place when it is changed; a new one comes last; a deleted one leaves no trace', () => {
    const start = valuesOf({ a: '1', b: '2', c: '3', d: '4' })
    const end = start.with(
      changes([
        ['new', '5'],
        ['d', '40'],
        ['b', '20'],
        ['a', undefined],
        ['missing', undefined],
      ]),
    )
    expect(entriesOf(reread(end))).toEqual([
      ['b', '20'],
      ['c', '3'],
      ['d', '40'],
      ['new', '5'],
    ])
    expect(textOf(encode(end))).not.toContain('missing')
    // The values that were changed are somebody's still.
    expect(entriesOf(start).map(([key]) => key)).toEqual(['a', 'b', 'c', 'd'])
  })

  test('every line can be deleted, and the record goes on', () => {
    const none = valuesOf({ a: '1', b: '2' }).with(
      changes([
        ['a', undefined],
        ['b', undefined],
      ]),
    )
    expect(textOf(encode(none))).toBe(textOf(encode(noValues)))
    expect(entriesOf(reread(none.with(changes([['c', '3']]))))).toEqual([['c', '3']])
  })
})

describe('clear', () => {
  const start = valuesOf({ a: '1', b: '2', c: '3' })

  test('removes everything', () => {
    expect(entriesOf(start.with(changes([], [])))).toEqual([])
  })

  test('comes before the values that are set with it', () => {
    expect(
      entriesOf(
        reread(
          start.with(
            changes(
              [
                ['d', '4'],
                ['b', '20'],
              ],
              [],
            ),
          ),
        ),
      ),
    ).toEqual([
      ['d', '4'],
      ['b', '20'],
    ])
  })

  test('spares what was stored after it', () => {
    expect(entriesOf(reread(start.with(changes([['a', '10']], ['c', 'missing']))))).toEqual([
      ['c', '3'],
      ['a', '10'],
    ])
  })
})

test('any sequence of changes does to a record what it would do to a Map', () => {
  const keys = fc.oneof(fc.constantFrom(...strangeKeys.slice(0, -1)), fc.string({ unit: 'binary' }))
  const values = fc.oneof(
    fc.json(),
    fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
  )
  const entry = fc.tuple(keys, fc.oneof(values, fc.constant(undefined)))
  const step = fc.record({
    entries: fc.array(entry, { maxLength: 6 }),
    spared: fc.option(fc.array(keys, { maxLength: 3 }), { nil: undefined, freq: 4 }),
  })
  const property = fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
    const model = new Map<string, string>()
    let lines = noValues
    for (const { entries, spared } of steps) {
      const change = changes(entries, spared)
      if (spared) for (const key of model.keys()) if (!change.spared?.has(key)) model.delete(key)
      for (const [key, { encoded: value }] of change.byKey) {
        if (value === undefined) model.delete(key)
        else model.set(key, value as string)
      }
      lines = reread(lines.with(change))
      expect(new Map(entriesOf(lines) as [string, string][])).toEqual(model)
      for (const key of change.byKey.keys()) expect(lines.has(key)).toBe(model.has(key))
      for (const key of strangeKeys) expect(lines.get(key)).toBe(model.get(key))
    }
  })
  expect(counterexample(property, 200)).toBeUndefined()
})

describe('bytes that are not this record', () => {
  const whole = encode(valuesOf({ user: '"ada"', é: '"😀\\n"', cart: '[1,2,3]' }), { timeout: 60 })

  test('a record that was cut off anywhere is corrupt, never a shorter session', () => {
    const records = [
      [KEY, whole],
      [KEY, encode(noValues)],
      [KEY, encodeTombstone(KEY, { stamp: 's', successor: undefined })],
      [recorded.key, bytesOf(recorded.record)],
    ] as const
    for (const [key, record] of records) {
      for (let length = 0; length < record.length; length++) {
        const found = decodeRecord(key, record.subarray(0, length))
        expect([length, found.kind]).toEqual([length, 'corrupt'])
      }
    }
  })

  test('nor is one that goes on, or lacks a piece in the middle', () => {
    for (const more of ['x', '\n', '"a"\t1\n', ' ']) {
      expect(decodeRecord(KEY, Buffer.concat([whole, bytesOf(more)])).kind).toBe('corrupt')
    }
    const start = whole.indexOf(0x0a) + 1
    for (let gap = start; gap < whole.length; gap++) {
      const pieces = Buffer.concat([whole.subarray(0, gap), whole.subarray(gap + 1)])
      expect(decodeRecord(KEY, pieces).kind).toBe('corrupt')
    }
  })

  test("another session's record, or its tombstone, is foreign", () => {
    expect(decodeRecord(OTHER_KEY, whole)).toEqual({ kind: 'foreign' })
    expect(decodeRecord(OTHER_KEY, encodeTombstone(KEY, { stamp: 's', successor: undefined }))).toEqual({
      kind: 'foreign',
    })
    expect(decodeRecord(OTHER_KEY, encodeTombstone(KEY, { stamp: 's', successor: OTHER_KEY }))).toEqual({
      kind: 'foreign',
    })
  })

  test.each([
    ['nothing', ''],
    ['a newline', '\n'],
    ['JSON', '{"cookie":{},"user":"ada"}'],
    ['a pickle', '\x80\x04\x95N\x00\n'],
    ['a later version', `vishnu2 ${KEY} stamp 0 0 - public 0\n`],
    ['a header that ends early', `vishnu1 ${KEY}\n`],
    ['a header with too few fields', `vishnu1 ${KEY} stamp 0 0 - public\n`],
    ['a header with too many fields', `vishnu1 ${KEY} stamp 0 0 - public 0 0\n`],
    ['no number where one should be', `vishnu1 ${KEY} stamp x 0 - public 0\n`],
    ['an absolute deadline that is no number', `vishnu1 ${KEY} stamp 0 NaN - public 0\n`],
    ['an infinite absolute deadline', `vishnu1 ${KEY} stamp 0 Infinity - public 0\n`],
    ['half a second', `vishnu1 ${KEY} stamp 0 0 0.5 public 0\n`],
    ['a wrong length', `vishnu1 ${KEY} stamp 0 0 - public 5\n"a"\t1\n`],
    ['a length that is no number', `vishnu1 ${KEY} stamp 0 0 - public x\n`],
    ['no newline at the end', `vishnu1 ${KEY} stamp 0 0 - public 5\n"a"\t1`],
    ['a tombstone with too much', `vishnu1 ${KEY} stamp gone - x\n`],
    ['a tombstone with too little', `vishnu1 ${KEY} stamp gone\n`],
    ['a tombstone of another kind', `vishnu1 ${KEY} stamp away -\n`],
    ['a tombstone without a stamp', `vishnu1 ${KEY}  gone -\n`],
  ])('%s is corrupt, with a reason', (_, text) => {
    const found = decodeRecord(KEY, bytesOf(text))
    expect(found).toEqual({ kind: 'corrupt', reason: expect.stringMatching(/^its? .*[a-z\d]$/) as string })
  })

  test('the reason holds nothing of the record', () => {
    const found = decodeRecord(KEY, bytesOf(`vishnu1 ${KEY} stamp 0 0 - canary 99\n"canary"\t"canary"\n`))
    expect(JSON.stringify(found)).not.toContain('canary')
    expect(JSON.stringify(found)).not.toContain(KEY)
  })

  test('no bytes at all make it throw or hang', () => {
    const fields = fc.constantFrom(
      'vishnu1',
      KEY,
      OTHER_KEY,
      'gone',
      '-',
      '0',
      '5',
      '1e3',
      '-1',
      ' ',
      '\n',
      '\t',
      '"a"',
      '"',
      '\0',
    )
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(fields, { maxLength: 20 }).map((parts) => bytesOf(parts.join(' '))),
      fc
        .array(fields, { maxLength: 20 })
        .map((parts) => bytesOf(`vishnu1 ${KEY} s 0 0 - p ${parts.join('').length + 1}\n${parts.join('')}\n`)),
      fc
        .tuple(fc.nat(whole.length - 1), fc.nat(255))
        .map(([at, byte]) => whole.map((old, index) => (index === at ? byte : old))),
    )
    const property = fc.property(garbage, (bytes) => {
      const found = decodeRecord(KEY, bytes)
      expect(['session', 'tombstone', 'foreign', 'corrupt']).toContain(found.kind)
      if (found.kind !== 'session') return
      for (const key of [...found.record.values.keys(), 'a', 'user', '']) {
        found.record.values.has(key)
        found.record.values.get(key)
      }
      encodeRecord(KEY, {
        ...found.record,
        values: found.record.values.with(
          changes([
            ['a', '1'],
            ['user', undefined],
          ]),
        ),
      })
    })
    expect(counterexample(property, 2000)).toBeUndefined()
  })
})

describe('a tombstone', () => {
  test('says that the session is gone, and what it became', () => {
    for (const successor of [undefined, OTHER_KEY]) {
      const bytes = encodeTombstone(KEY, { stamp: 'stamp', successor })
      expect(decodeRecord(KEY, bytes)).toEqual({ kind: 'tombstone', tombstone: { stamp: 'stamp', successor } })
    }
  })

  test('holds nothing else', () => {
    expect(textOf(encodeTombstone(KEY, { stamp: 'stamp', successor: OTHER_KEY }))).toBe(
      `vishnu1 ${KEY} stamp gone ${OTHER_KEY}\n`,
    )
  })
})

describe('the recorded record of version 1', () => {
  const native = nativeDialect({
    secrets: [recorded.secret],
    encryptKeys: [],
    cookieName: 'a',
    random: seededRandom(1),
  })

  test('opens', () => {
    const found = session(native.decode(recorded.key, bytesOf(recorded.record)))
    expect(found.header).toEqual({
      stamp: 'c3RhbXAtc3RhbXAx',
      created: Date.UTC(2026, 0, 1),
      absolute: Date.UTC(2026, 0, 2),
      timeout: 3600,
      publicId: 'cHVibGljaWQx',
    })
    const values = [...found.values.keys()].map((key) => [key, native.decodeValue(key, found.values.get(key) ?? '')])
    expect(values).toEqual([
      ['user', { name: 'ada', roles: ['admin'] }],
      ['café 😀', 'über\n'],
      ['__proto__', JSON.parse('{"__proto__":1}')],
      ['since', new Date('2026-01-01T00:00:00.000Z')],
      ['cart', new Map([['apples', 12_345_678_901_234_567_890n]])],
      ['nothing', undefined],
      ['bytes', new Uint8Array([1, 2, 3])],
    ])
  })

  test('is what is still written', () => {
    const found = session(native.decode(recorded.key, bytesOf(recorded.record)))
    const encoded = [...found.values.keys()].map((key): [string, string] => {
      const value = native.decodeValue(key, found.values.get(key) ?? '')
      return [key, native.encodeValue(key, value) as string]
    })
    const again = encodeRecord(recorded.key, { header: found.header, values: valuesOf(encoded) })
    expect(textOf(again)).toBe(recorded.record)
  })

  test('and its tombstones open too', () => {
    expect(native.decode(recorded.key, bytesOf(recorded.tombstone))).toEqual({
      kind: 'tombstone',
      tombstone: { stamp: 'c3RhbXAtc3RhbXAy', successor: undefined },
    })
    expect(native.decode(recorded.key, bytesOf(recorded.rotationTombstone))).toEqual({
      kind: 'tombstone',
      tombstone: { stamp: 'c3RhbXAtc3RhbXAz', successor: recorded.successor },
    })
  })
})
