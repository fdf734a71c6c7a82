import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PythonValue } from '../src/dialects/vishnu-python/python-value.js'
import {
  decodeRecord,
  encodeRecord,
  encodeValue,
  noValues,
  type PythonRecord,
} from '../src/dialects/vishnu-python/record.js'
import { Changes } from '../src/record.js'
import { describePickles, hasPython, pickleExpressions, repickle } from './helpers/python.js'
import { storable } from './helpers/python-arbitrary.js'
import { bytesOf, pickles } from './helpers/python-fixtures.js'

function recordOf(value: unknown): PythonRecord {
  const changes = new Changes()
  changes.set('value', encodeValue('value', value))
  const now = Date.parse('2026-02-28T12:34:56.789Z')
  return { className: 'PickleableSession', expires: now, lastAccessed: now, values: noValues.with(changes) }
}

function valueIn(bytes: Uint8Array): unknown {
  return decodeRecord(bytes).values.get('value')?.decode()
}

/** A Python expression, and what `get` gives for it. */
const mapping: [string, unknown][] = [
  ['None', null],
  ['True', true],
  ['1', 1],
  ['1.0', 1],
  ['-0.0', -0],
  ['float("nan")', Number.NaN],
  ['2**53 - 1', 2 ** 53 - 1],
  ['2**53', 2n ** 53n],
  ['-10**30', -(10n ** 30n)],
  ['"déjà \\U0001F600 \\ud800"', 'déjà 😀 \ud800'],
  ['b"a\\xff"', new Uint8Array([97, 255])],
  ['bytearray(b"a\\xff")', new PythonValue('bytearray', new Uint8Array([97, 255]))],
  ['[1, [2]]', [1, [2]]],
  ['(1, (), (2,))', new PythonValue('tuple', [1, new PythonValue('tuple', []), new PythonValue('tuple', [2])])],
  ['{"a": 1, "b": {}}', { a: 1, b: {} }],
  [
    '{"a": 1, 2: "b"}',
    new Map<unknown, unknown>([
      ['a', 1],
      [2, 'b'],
    ]),
  ],
  ['{1, "a"}', new Set([1, 'a'])],
  ['frozenset([1])', new PythonValue('frozenset', new Set([1]))],
  ['datetime.datetime(2026, 2, 28, 12, 34, 56, 789012)', new Date('2026-02-28T12:34:56.789Z')],
  ['datetime.datetime(1, 1, 1)', new Date('0001-01-01T00:00:00Z')],
  ['datetime.datetime(2026, 2, 28, fold=1)', new Date('2026-02-28T00:00:00Z')],
  [
    'datetime.datetime(2026, 2, 28, 12, 34, 56, 789012, datetime.timezone.utc)',
    new PythonValue('datetime', '2026-02-28T12:34:56.789012+00:00'),
  ],
  [
    'datetime.datetime(2026, 2, 28, tzinfo=datetime.timezone(datetime.timedelta(hours=-3, minutes=-30), "NST"))',
    new PythonValue('datetime', '2026-02-28T00:00:00-03:30'),
  ],
  ['datetime.date(2024, 2, 29)', new PythonValue('date', '2024-02-29')],
  ['datetime.time(1, 2, 3, 4)', new PythonValue('time', '01:02:03.000004')],
  ['datetime.time(1, 2, tzinfo=datetime.timezone.utc)', new PythonValue('time', '01:02:00+00:00')],
  ['datetime.timedelta(seconds=-1)', new PythonValue('timedelta', { days: -1, seconds: 86_399, microseconds: 0 })],
  ['decimal.Decimal("19.90")', new PythonValue('Decimal', '19.90')],
  ['decimal.Decimal("-1e5")', new PythonValue('Decimal', '-1E+5')],
  ['uuid.UUID(int=1)', new PythonValue('UUID', '00000000-0000-0000-0000-000000000001')],
]

describe.skipIf(!hasPython)('CPython (skipped where there is no python3 with its standard library)', () => {
  test('finds in each rewritten record what was in the recorded one', () => {
    const records = pickles.records.filter(({ expected, python }) => expected === 'decode' && python === 3).map(bytesOf)
    expect(records.length).toBeGreaterThan(500)
    const before = describePickles(records)
    const after = describePickles(records.map((bytes) => encodeRecord(decodeRecord(bytes))))
    for (const [index, description] of before.entries()) assert.deepEqual(after[index], description)
  })

  test('reads whatever can be set, and gives it back in every protocol', () => {
    const values = fc.sample(storable, { numRuns: 400, seed: 20_260_101 })
    const written = repickle(values.map((value) => encodeRecord(recordOf(value))))
    for (const [index, value] of values.entries()) {
      for (const bytes of written[index] ?? []) assert.deepStrictEqual(valueIn(bytes), value)
    }
  })

  test('writes values that are read as the documented ones, in every protocol', () => {
    const written = pickleExpressions(mapping.map(([expression]) => expression))
    for (const [index, [expression, value]] of mapping.entries()) {
      for (const [protocol, bytes] of (written[index] ?? []).entries()) {
        assert.deepStrictEqual(valueIn(bytes), value, `${expression} in protocol ${protocol}`)
      }
    }
  })

  test('finds a fold and the name of a time zone again after a rewrite', () => {
    const expressions = [
      'datetime.datetime(2026, 10, 25, 2, 30, fold=1)',
      'datetime.time(2, 30, fold=1)',
      'datetime.datetime(2026, 10, 25, 2, 30, tzinfo=datetime.timezone(datetime.timedelta(0), "Here"), fold=1)',
    ]
    const written = pickleExpressions(expressions).flatMap((protocols) => protocols.slice(4))
    const rewritten = written.map((bytes) => encodeRecord(decodeRecord(bytes)))
    expect(describePickles(rewritten)).toEqual(describePickles(written))
    expect(JSON.stringify(describePickles(rewritten))).toContain("'Here'")
  })
})
