import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PythonValue } from '../src/dialects/vishnu-python/python-value.js'
import * as native from '../src/dialects/native-value.js'
import {
  decodePortable,
  decodeRecord,
  decodeValue,
  encodeRecord,
  encodeValue,
  noValues,
  type StoredValue,
} from '../src/dialects/vishnu-python/record.js'
import { SessionError, SessionTypeError } from '../src/errors.js'
import { Changes } from '../src/record.js'
import { storable } from './helpers/python-arbitrary.js'
import { thrownBy } from './helpers/unit-errors.js'
import { counterexample } from './helpers/unit-property.js'

const record = { className: 'PickleableSession', expires: undefined, lastAccessed: undefined } as const

/** As it comes back from the store. */
function stored(value: unknown): StoredValue {
  const changes = new Changes()
  changes.set('key', encodeValue('key', value))
  const found = decodeRecord(encodeRecord({ ...record, values: noValues.with(changes) })).values.get('key')
  assert(found)
  return found
}

function roundTrip(value: unknown): unknown {
  return decodeValue('key', stored(value))
}

const itself: Record<string, unknown> = { name: 'loop' }
itself['self'] = itself
const insideTuple: unknown[] = [1]
insideTuple.push(new PythonValue('tuple', [insideTuple]))
const insideWideTuple: unknown[] = []
insideWideTuple.push(new PythonValue('tuple', [1, 2, 3, insideWideTuple, 5]))
const first: unknown[] = []
const second: unknown[] = []
const entangled = new PythonValue('tuple', [first, new PythonValue('tuple', [second, first])])
first.push(entangled, { second })
second.push(entangled, new PythonValue('tuple', [entangled, 2, 3, 4, first]))
const shared = ['shared']

const kept: [string, unknown][] = [
  ['null', null],
  ['booleans', [true, false]],
  [
    'integers of every size',
    [0, 255, 256, 65_535, 65_536, -1, -(2 ** 31), 2 ** 31, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  ],
  [
    'integers that are no numbers',
    [2n ** 53n, -(2n ** 53n), 2n ** 63n, -(2n ** 63n), 10n ** 700n, -(10n ** 700n), 2n ** 2039n],
  ],
  ['fractions', [0.1, -1.5, 5e-324, 1e300]],
  ['numbers that only a float can be', [-0, Number.NaN, Infinity, -Infinity]],
  ['text', ['', 'a', 'é', '😀', '\0', 'x'.repeat(70_000), '\ufffd']],
  ['lone surrogates', ['\ud800', 'a\udfffb', '\udc00\ud800', '\ud800\ud800é']],
  ['bytes', [new Uint8Array(), new Uint8Array([0, 127, 128, 255])]],
  ['objects', { a: { b: {} }, constructor: 1, toString: 2 }],
  ['an own __proto__ key', { list: [JSON.parse('{"__proto__": {"isAdmin": true}}')] }],
  [
    'a Date',
    [new Date(0), new Date('2026-02-28T12:34:56.789Z'), new Date('0001-01-01'), new Date('9999-12-31T23:59:59.999Z')],
  ],
  ['a Set', new Set<unknown>([1, '1', null, false, 2n ** 60n, new Uint8Array([1]), new Date(0)])],
  [
    'a Map whose keys are not all text',
    new Map<unknown, unknown>([
      [1, 'one'],
      ['1', 'text'],
      [null, [1]],
    ]),
  ],
  ['a tuple', [new PythonValue('tuple', []), new PythonValue('tuple', [1, new PythonValue('tuple', [2, 3]), [4], 5])]],
  ['a frozenset', new PythonValue('frozenset', new Set([1, 'a']))],
  ['a bytearray', new PythonValue('bytearray', new Uint8Array([1, 255]))],
  ['a datetime with an offset', new PythonValue('datetime', '2026-02-28T12:34:56.789012+05:30')],
  ['a datetime with an odd offset', new PythonValue('datetime', '2026-02-28T00:00:00-00:00:00.000001')],
  ['a date', new PythonValue('date', '2024-02-29')],
  ['times', [new PythonValue('time', '00:00:00'), new PythonValue('time', '23:59:59.000001-11:30')]],
  ['a timedelta', new PythonValue('timedelta', { days: -1, seconds: 86_399, microseconds: 999_999 })],
  [
    'a Decimal',
    ['19.90', '-0', 'NaN', 'sNaN12', 'Infinity', '1E+999999999999999999'].map(
      (text) => new PythonValue('Decimal', text),
    ),
  ],
  ['a UUID', new PythonValue('UUID', '12345678-1234-4678-9234-567812345678')],
  ['a tuple as a key', new Map([[new PythonValue('tuple', [1, 'a']), 1]])],
  ['an object that is met twice', { one: shared, two: shared }],
  ['an object that contains itself', itself],
  ['a list in a tuple in itself', insideTuple],
  ['a list in a wide tuple in itself', insideWideTuple],
  ['tuples and lists in each other', entangled],
  ['300 objects that are met twice', Array.from({ length: 300 }, (_, index) => [index]).flatMap((one) => [one, one])],
]

describe('a value that is set', () => {
  test.each(kept)('comes back: %s', (_, value) => {
    assert.deepStrictEqual(roundTrip(value), value)
  })

  test('comes back, whatever it is made of', () => {
    const property = fc.property(storable, (value) => assert.deepStrictEqual(roundTrip(value), value))
    expect(counterexample(property, 500)).toBeUndefined()
  })

  test('keeps what is one object one', () => {
    const { one, two } = roundTrip({ one: shared, two: shared }) as { one: unknown; two: unknown }
    expect(one).toBe(two)
    const loop = roundTrip(itself) as { self: unknown }
    expect(loop.self).toBe(loop)
  })

  test('is copied at once', () => {
    const bytes = new Uint8Array([1])
    const list = [bytes, { a: 1 }]
    const encoded = encodeValue('key', list)
    bytes[0] = 2
    list.pop()
    expect(encoded.decode()).toEqual([new Uint8Array([1]), { a: 1 }])
  })
})

describe('a value that is nested deeply', () => {
  const wraps: [string, (inner: unknown) => unknown][] = [
    ['arrays', (inner) => [inner]],
    ['objects', (inner) => ({ inner })],
    ['tuples', (inner) => new PythonValue('tuple', [inner])],
    ['frozensets', (inner) => new PythonValue('frozenset', new Set([inner]))],
    ['Maps', (inner) => new Map([[1, inner]])],
  ]

  test.each(wraps)('of %s is refused when it is set, or can be read again', (_, wrap) => {
    const nested = (depth: number): unknown => {
      let value: unknown = new PythonValue('datetime', '2026-02-28T12:34:56+05:30')
      for (let level = 0; level < depth; level++) value = wrap(value)
      return value
    }
    let deepest = 0
    for (let step = 256; step >= 1; step /= 2) {
      if (thrownBy(() => encodeValue('key', nested(deepest + step))) === undefined) deepest += step
    }
    expect(thrownBy(() => roundTrip(nested(deepest)))).toBeUndefined()
    expect(deepest).toBeGreaterThan(240)
    expect(deepest).toBeLessThanOrEqual(500)
  })
})

describe('a session that is larger than what is read again', () => {
  test.each([
    ['text', 'x'.repeat(9 * 2 ** 20)],
    ['numbers', Array.from({ length: 600_000 }, (_, index) => index)],
  ])('is refused when it is written: %s', (_, value) => {
    const changes = new Changes()
    for (const key of ['one', 'two']) changes.set(key, encodeValue(key, value))
    const error = thrownBy(() => encodeRecord({ ...record, values: noValues.with(changes) }))
    assert(error instanceof SessionError)
    expect(error.code).toBe('ERR_TOO_LARGE')
  })

  test('is neither if it is just within', () => {
    const changes = new Changes()
    for (const key of ['one', 'two'])
      changes.set(
        key,
        encodeValue(
          key,
          Array.from({ length: 490_000 }, (_, at) => at % 200),
        ),
      )
    const bytes = encodeRecord({ ...record, values: noValues.with(changes) })
    expect([...decodeRecord(bytes).values.keys()]).toEqual(['one', 'two'])
  })
})

describe('a value that is read', () => {
  test('is frozen through and through, and then shared', () => {
    const value = stored({ list: [{ a: 1 }], tuple: new PythonValue('tuple', [[1]]) })
    const decoded = value.decode() as { list: object[]; tuple: PythonValue<'tuple'> }
    expect(value.isShareable).toBe(true)
    const parts = [decoded, decoded.list, decoded.list[0], decoded.tuple, decoded.tuple.value, decoded.tuple.value[0]]
    for (const part of parts) expect(Object.isFrozen(part)).toBe(true)
  })

  test.each([
    ['a Date', new Date(0)],
    ['a Set', new Set()],
    ['a Map', new Map([[1, 1]])],
    ['bytes', new Uint8Array(1)],
    ['a frozenset', new PythonValue('frozenset', new Set())],
    ['a bytearray', new PythonValue('bytearray', new Uint8Array(1))],
  ])('is a fresh copy each time if it holds %s', (_, value) => {
    expect(stored([value]).isShareable).toBe(false)
    const one = stored([value])
    expect(one.decode()).not.toBe(one.decode())
    expect(one.isShareable).toBe(false)
  })
})

describe('a value that is carried over to another dialect', () => {
  test('has no Python type left', () => {
    const tuple = new PythonValue('tuple', [1, new PythonValue('tuple', [[2]])])
    const loop: unknown[] = []
    loop.push(new PythonValue('tuple', [loop]))
    const value = {
      tuple,
      frozenset: new PythonValue('frozenset', new Set([new PythonValue('date', '2024-02-29')])),
      bytearray: new PythonValue('bytearray', new Uint8Array([1])),
      datetime: new PythonValue('datetime', '2026-02-28T12:34:56.789012+05:30'),
      odd: new PythonValue('datetime', '2026-02-28T12:34:56.789012-00:00:00.000013'),
      time: new PythonValue('time', '12:00:00'),
      timedelta: new PythonValue('timedelta', { days: 1, seconds: 2, microseconds: 3 }),
      decimal: new PythonValue('Decimal', '19.90'),
      uuid: new PythonValue('UUID', '12345678-1234-4678-9234-567812345678'),
      date: new Date(0),
    }
    assert.deepStrictEqual(decodePortable('key', stored(value)), {
      tuple: [1, [[2]]],
      frozenset: new Set(['2024-02-29']),
      bytearray: new Uint8Array([1]),
      datetime: new Date('2026-02-28T07:04:56.789Z'),
      odd: new Date('2026-02-28T12:34:56.789Z'),
      time: '12:00:00',
      timedelta: { days: 1, seconds: 2, microseconds: 3 },
      decimal: '19.90',
      uuid: '12345678-1234-4678-9234-567812345678',
      date: new Date(0),
    })
    const [[inner]] = decodePortable('key', stored(loop)) as [[unknown]]
    expect(inner).toEqual([[inner]])
  })

  test('can be stored by the native dialect, but for what that never takes: __proto__ beside rich values', () => {
    const property = fc.property(storable, (value) => {
      fc.pre(!inspect(value, { depth: Infinity }).includes('__proto__'))
      native.encodeValue('key', decodePortable('key', stored(value)))
    })
    expect(counterexample(property, 300)).toBeUndefined()
  })
})

describe('a value that Python has no form for, or that would come back as another', () => {
  class Cart {
    items = []
  }
  const unhashable = new PythonValue('tuple', [[1]])
  const deep = Array.from({ length: 501 }).reduce((inner: unknown) => [inner], 'bottom')

  const doubled = Array.from({ length: 64 }).reduce((inner: unknown) => [inner, inner], 'leaf')

  const refused: [string, unknown, RegExp][] = [
    ['undefined', undefined, /undefined/],
    ['undefined inside', { a: [undefined] }, /at \["a"\]\[0\] .*undefined/],
    ['a function', () => undefined, /a function/],
    ['a symbol', Symbol('s'), /a symbol/],
    ['a class instance', new Cart(), /an instance of Cart/],
    ['a Buffer', Buffer.from('a'), /an instance of Buffer/],
    ['another typed array', new Float64Array(1), /an instance of Float64Array/],
    ['an object without a prototype', Object.create(null), /an instance of a class/],
    ['a regular expression', /a/, /an instance of RegExp/],
    ['a bigint that a number can hold', 5n, /would come back as a number/],
    ['a Map with text keys only', new Map([['a', 1]]), /plain object/],
    ['an empty Map', new Map(), /plain object/],
    [
      'a Map with keys that are one in Python',
      new Map<unknown, number>([
        [1, 1],
        [true, 2],
      ]),
      /takes for the same/,
    ],
    ['a Set with 0 and false', new Set<unknown>([0, false]), /takes for the same/],
    ['a Set with an int and a float that are one', new Set<unknown>([2n ** 60n, 2 ** 60]), /takes for the same/],
    ['a Set with two equal bytes', new Set([new Uint8Array(1), new Uint8Array(1)]), /takes for the same/],
    ['a Set with an array', new Set([[1]]), /can't use/],
    ['a Set with an object', new Set([{}]), /can't use/],
    ['a Map with a tuple of arrays as a key', new Map([[unhashable, 1]]), /can't use/],
    ['an array with a hole', [1, , 2], /holes/], // oxlint-disable-line no-sparse-arrays
    ['an array with a property', Object.assign([1], { name: 'a' }), /properties of its own/],
    ['an object with a symbol key', { [Symbol('s')]: 1 }, /symbol keys/],
    ['a Date with a property', Object.assign(new Date(), { name: 'a' }), /an instance of Date/],
    ['an invalid Date', new Date(Number.NaN), /years 1 to 9999/],
    ['a Date before Python', new Date(-62_135_596_800_001), /years 1 to 9999/],
    ['nesting without end', deep, /nested more than 500/],
    ['a tuple of no array', new PythonValue('tuple', 'ab' as never), /PythonValue of type tuple/],
    ['a frozenset of no Set', new PythonValue('frozenset', [1] as never), /PythonValue of type frozenset/],
    ['a naive datetime', new PythonValue('datetime', '2026-02-28T12:34:56'), /PythonValue of type datetime/],
    ['a datetime in another spelling', new PythonValue('datetime', '2026-02-28T12:34:56.000000+00:00'), /datetime/],
    ['a datetime in UTC by letter', new PythonValue('datetime', '2026-02-28T12:34:56Z'), /datetime/],
    ['a date that is none', new PythonValue('date', '2025-02-29'), /PythonValue of type date/],
    ['a time that is none', new PythonValue('time', '24:00:00'), /PythonValue of type time/],
    ['an offset of a day', new PythonValue('time', '00:00:00+24:00'), /PythonValue of type time/],
    [
      'a timedelta that is not normal',
      new PythonValue('timedelta', { days: 0, seconds: -1, microseconds: 0 }),
      /timedelta/,
    ],
    ['a timedelta of nothing', new PythonValue('timedelta', undefined as never), /timedelta/],
    ['a Decimal that is none', new PythonValue('Decimal', '1,5'), /PythonValue of type Decimal/],
    ['a Decimal that is a number', new PythonValue('Decimal', 1.5 as never), /PythonValue of type Decimal/],
    ['a UUID that is none', new PythonValue('UUID', 'zzz'), /PythonValue of type UUID/],
    ['a UUID in capitals', new PythonValue('UUID', '12345678-1234-4678-9234-56781234567A'), /UUID/],
    ['a Decimal beyond the exponents of Python', new PythonValue('Decimal', `1E${'9'.repeat(19)}`), /Decimal/],
    ['a bytearray of a Buffer', new PythonValue('bytearray', Buffer.from('a')), /an instance of Buffer/],
    ['a bigint beyond what is read again', 10n ** 5000n, /4,900 digits/],
    ['an instance of a subclass', new (class Money extends PythonValue {})('Decimal', '1'), /an instance of Money/],
    ['a type that every object inherits', new PythonValue('constructor' as never, 'a' as never), /type constructor/],
    [
      'more numbers as keys than are read again',
      { set: new Set(Array.from({ length: 10_001 }, (_, at) => at)) },
      /10000/,
    ],
    ['2^64 parts in a few objects', doubled, /more than 1000000 parts/],
    ['an unknown type', new PythonValue('Fraction' as never, '1/3' as never), /PythonValue of type Fraction/],
  ]

  test.each(refused)('is refused when it is set: %s', (_, value, message) => {
    const error = thrownBy(() => encodeValue('cart', value))
    assert(error instanceof SessionTypeError)
    expect(error.code).toBe('ERR_VALUE')
    expect(error.message).toMatch(/^session key "cart"/)
    expect(error.message).toMatch(message)
  })
})
