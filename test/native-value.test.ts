import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeValue, encodeValue } from '../src/dialects/native-value.js'
import { SessionError, SessionTypeError } from '../src/index.js'
import { thrownBy } from './helpers/unit-errors.js'
import { counterexample } from './helpers/unit-property.js'

function roundTrip(value: unknown): unknown {
  return decodeValue('key', encodeValue('key', value))
}

/** Every difference counts: prototypes, holes, the sign of zero. */
function expectSame(actual: unknown, expected: unknown): void {
  // On Node 20 no invalid Date is deeply equal to another.
  const hasInvalidDate = inspect(expected, { depth: Infinity }).includes('Invalid Date')
  const compare: (one: unknown, other: unknown) => void = hasInvalidDate ? strictlyEqual : assert.deepStrictEqual
  compare(actual, expected)
}

function strictlyEqual(actual: unknown, expected: unknown): void {
  expect(actual).toStrictEqual(expected)
}

/** Own keys that an object literal can't spell. */
function withOwn(object: object, key: PropertyKey, value: unknown): object {
  return Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
}

function nested(depth: number, wrap: (inner: unknown) => unknown = (inner) => [inner]): unknown {
  let value: unknown = 'bottom'
  for (let level = 0; level < depth; level++) value = wrap(value)
  return value
}

const json: [string, unknown][] = [
  ['null', null],
  ['booleans', [true, false]],
  ['numbers', [0, 1, -1, 1.5, 5e-324, Number.MAX_VALUE, Number.MIN_SAFE_INTEGER, 0.1 + 0.2]],
  ['text', ['', 'a', 'é', '😀', '"', '\\', '\n\t\r\0\u007f\u2028\u2029', '~', '~[1]', '</script>']],
  ['lone surrogates', ['\ud800', '\udc00', 'a\ud83d', '\ude00\ud83d']],
  ['nested objects and arrays', { a: [{ b: { c: [] } }, {}], d: null }],
  ['an own __proto__ key', withOwn({ a: 1 }, '__proto__', { isAdmin: true })],
  ['an own __proto__ key deep inside', { a: [withOwn({}, '__proto__', null)] }],
  ['keys that objects inherit', { constructor: 1, hasOwnProperty: 2, toString: 3, valueOf: 4, toJSON: 5 }],
  ['numeric keys, in the order of JavaScript', { b: 1, 2: 2, 1: 3, '': 4 }],
  ['500 levels', nested(500)],
]

const cyclic: Record<string, unknown> = { name: 'loop' }
cyclic.self = cyclic
cyclic.list = [cyclic]
const shared = { count: 1 }
const pool = new Uint8Array(64).map((_, index) => index)

const rich: [string, unknown][] = [
  ['undefined', undefined],
  ['undefined within objects and arrays', { a: undefined, b: [undefined, 1] }],
  ['NaN', Number.NaN],
  ['infinities', [Infinity, -Infinity]],
  ['minus zero', -0],
  ['minus zero deep inside', { a: [{ b: -0 }] }],
  ['bigint', [0n, -1n, 2n ** 200n]],
  ['a Date', new Date('2026-01-01T12:34:56.789Z')],
  ['an invalid Date', new Date(Number.NaN)],
  ['dates far away', [new Date(-8.64e15), new Date(8.64e15)]],
  [
    'a Map',
    new Map<unknown, unknown>([
      ['a', 1],
      [2, new Map([[{ deep: true }, new Set([1n])]])],
      [Number.NaN, undefined],
    ]),
  ],
  ['a Set', new Set<unknown>([1, '1', Number.NaN, { a: 1 }, [1], undefined, null])],
  ['empty collections', { map: new Map(), set: new Set() }],
  ['holes', [, 1, , 2, ,]], // oxlint-disable-line no-sparse-arrays
  ['a very sparse array', Object.assign([], { 100_000: 'far', length: 4_000_000_000 })],
  ['an object that is met twice', { one: shared, two: shared, list: [shared] }],
  ['an array that is met twice', nested(2, (inner) => [inner, inner])],
  ['a cycle', cyclic],
  ['objects without a prototype', { a: withOwn(Object.create(null) as object, 'b', [1]) }],
  ['text that only looks rich', { text: '~[1]', date: new Date(0), escapes: '\n\t"\\<\u2028\u2029\0\ud800' }],
  ['a rich value 500 levels down', nested(499, (inner) => [inner, undefined])],
]

const typedArrays = [
  new Int8Array([-128, 127]),
  new Uint8Array([0, 255]),
  new Uint8ClampedArray([0, 255]),
  new Int16Array([-32_768, 32_767]),
  new Uint16Array([65_535]),
  new Int32Array([-2_147_483_648]),
  new Uint32Array([4_294_967_295]),
  new Float32Array([1.5, -0, Number.NaN, Infinity]),
  new Float64Array([Math.PI, -0, Number.NaN, 5e-324]),
  new BigInt64Array([-(2n ** 63n)]),
  new BigUint64Array([2n ** 64n - 1n]),
]

describe('what you set is what you get', () => {
  test.each(json)('%s, as plain JSON', (_, value) => {
    expect(encodeValue('key', value)).toBe(JSON.stringify(value))
    expectSame(roundTrip(value), value)
  })

  test.each(rich)('%s, behind the mark', (_, value) => {
    expect(encodeValue('key', value)).toMatch(/^~/)
    expectSame(roundTrip(value), value)
  })

  test.each(typedArrays.map((array) => [array.constructor.name, array] as const))('%s', (_, array) => {
    assert.deepStrictEqual(roundTrip(array), array)
    assert.deepStrictEqual(roundTrip({ array, empty: array.slice(0, 0) }), { array, empty: array.slice(0, 0) })
  })

  test('an object that was met twice is one object again', () => {
    const read = roundTrip({ one: shared, two: shared }) as { one: object; two: object }
    expect(read.one).toBe(read.two)
    const loop = roundTrip(cyclic) as { self: object; list: object[] }
    expect(loop.self).toBe(loop)
    expect(loop.list[0]).toBe(loop)
  })

  test('a view over a part of a buffer is stored alone: the rest may be bytes of other visitors', () => {
    const view = pool.subarray(10, 13)
    const read = roundTrip(view) as Uint8Array
    assert.deepStrictEqual(read, new Uint8Array([10, 11, 12]))
    expect(read.buffer.byteLength).toBe(3)
    expect(encodeValue('key', view)).toBe(encodeValue('key', new Uint8Array([10, 11, 12])))

    const secret = Buffer.from('the secret of somebody else')
    const words = new Uint16Array(secret.buffer, secret.byteOffset & ~1, 1)
    expect(encodeValue('key', words)).not.toContain(secret.toString('base64').slice(4, 12))
    expect((roundTrip([words]) as Uint16Array[])[0]?.buffer.byteLength).toBe(2)
  })

  test('own __proto__ keys pollute nothing', () => {
    const read = roundTrip(withOwn({}, '__proto__', { isAdmin: true })) as Record<string, unknown>
    expect(read.isAdmin).toBeUndefined()
    expect(({} as Record<string, unknown>).isAdmin).toBeUndefined()
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
    expect(Object.keys(read)).toEqual(['__proto__'])
  })

  test('every JSON value, as plain JSON', () => {
    const property = fc.property(fc.json({ maxDepth: 6 }), (text) => {
      const value: unknown = JSON.parse(JSON.stringify(JSON.parse(text)))
      expectSame(roundTrip(value), value)
      expect(encodeValue('key', value)).toBe(JSON.stringify(value))
    })
    expect(counterexample(property, 1000)).toBeUndefined()
  })

  test('every other value, or it is refused', () => {
    const anything = fc.anything({
      maxDepth: 4,
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withNullPrototype: true,
      withSparseArray: true,
      withTypedArray: true,
      withUnicodeString: true,
    } as fc.ObjectConstraints)
    let kept = 0
    const property = fc.property(anything, (value) => {
      const error = thrownBy(() => encodeValue('key', value))
      if (error !== undefined) {
        assert(error instanceof SessionTypeError && error.code === 'ERR_VALUE')
        // The one thing in these values that can't be kept.
        assert(inspect(value, { depth: Infinity }).includes('__proto__'))
        return
      }
      kept++
      expectSame(roundTrip(value), value)
    })
    expect(counterexample(property, 1000)).toBeUndefined()
    expect(kept).toBeGreaterThan(800)
  })

  test('never holds a raw newline or tab, by which a record is divided', () => {
    const text = fc.string({ unit: fc.constantFrom('\n', '\t', '\r', '"', '\\', 'a', '\u2028', '\ud800', '<') })
    const values = fc.oneof(
      text,
      fc.dictionary(text, text),
      fc.tuple(text, fc.constant(undefined)),
      text.map((key) => new Map([[key, key]])),
    )
    const property = fc.property(values, (value) => !/[\n\t]/.test(encodeValue('key', value)))
    expect(counterexample(property, 1000)).toBeUndefined()
  })
})

class Money {
  readonly cents = 100
}
class Day extends Date {}
class Registry extends Map<string, number> {}
class Tags extends Set<string> {}
class Stack extends Array<number> {}
class Bytes extends Uint8Array {}

const refused: [string, unknown][] = [
  ['a function', () => 1],
  ['a class', Money],
  ['a symbol', Symbol('x')],
  ['a registered symbol', Symbol.for('x')],
  ['an instance of a class', new Money()],
  ['an object with an inherited value', Object.create({ inherited: 1 })],
  ['an instance of a class that extends null', Object.create(Object.create(null) as object)],
  ['a subclass of Date', new Day(0)],
  ['a subclass of Map', new Registry([['a', 1]])],
  ['a subclass of Set', new Tags(['a'])],
  ['a subclass of Array', Stack.from([1])],
  ['a subclass of a typed array', Bytes.from([1])],
  ['a Buffer', Buffer.from('a')],
  ['a RegExp', /a/],
  ['a URL', new URL('https://example.com')],
  ['URLSearchParams', new URLSearchParams('a=1')],
  ['an Error', new Error('x')],
  ['a Promise', Promise.resolve(1)],
  ['a WeakMap', new WeakMap()],
  ['a WeakSet', new WeakSet()],
  ['a WeakRef', new WeakRef({})],
  ['a DataView', new DataView(new ArrayBuffer(1))],
  ['an ArrayBuffer', new ArrayBuffer(1)],
  ['a SharedArrayBuffer', new SharedArrayBuffer(1)],
  ['an iterator', [1].values()],
  ['a Proxy of an instance', new Proxy(new Money(), {})],
  ['a Proxy of a Map', new Proxy(new Map([['a', 1]]), {})],
  ['a Proxy of a Date', new Proxy(new Date(0), {})],
  ['a boxed number', Object(1)],
  ['a boxed text', Object('a')],
  ['a boxed boolean', Object(false)],
  ['a boxed bigint', Object(1n)],
  ['a boxed symbol', Object(Symbol('x'))],
  ['an object with a symbol key', { [Symbol('x')]: 1 }],
  ['an array with a property', Object.assign([1], { extra: 1 })],
  ['an array with a symbol key', Object.assign([1], { [Symbol('x')]: 1 })],
  ['an array with a negative index', Object.assign([1], { '-1': 1 })],
  ['an array without its prototype', Object.setPrototypeOf([1], null)],
  ['a Date with a property', Object.assign(new Date(0), { zone: 'UTC' })],
  ['a Map with a property', Object.assign(new Map(), { extra: 1 })],
  ['a Set with a property', Object.assign(new Set(), { extra: 1 })],
  ['an own __proto__ key in a value that JSON can not keep', { when: new Date(0), bad: withOwn({}, '__proto__', 1) }],
  ['501 levels', nested(501)],
  ['501 levels of maps', nested(501, (inner) => new Map([[1, inner]]))],
  ['501 levels of sets', nested(501, (inner) => new Set([inner]))],
  ['501 levels of objects', nested(501, (inner) => ({ inner }))],
  ['100,000 levels', nested(100_000)],
]

describe('anything else is refused', () => {
  test.each(refused)('%s', (_, value) => {
    const places = [value, { a: value }, [value], new Map([['a', value]]), new Map([[value, 'a']]), new Set([value])]
    for (const place of places) {
      const error = thrownBy(() => encodeValue('cart', place))
      expect(error).toBeInstanceOf(TypeError)
      expect(error).toBeInstanceOf(SessionTypeError)
      expect(error).toMatchObject({ code: 'ERR_VALUE', name: 'SessionTypeError' })
      expect((error as Error).message).toMatch(/^session key "cart"/)
    }
  })

  test('with a message that names the session key and the place', () => {
    const messageFor = (value: unknown): string => (thrownBy(() => encodeValue('cart', value)) as Error).message
    expect(messageFor(() => 1)).toMatch(/^session key "cart" can't be stored: it is a function\. Sessions keep JSON/)
    expect(messageFor([() => 1])).toMatch(/^session key "cart", at \[0\] can't be stored: it is a function/)
    expect(messageFor({ items: [1, { 'unit price': new Money() }] })).toMatch(
      /^session key "cart", at \["items"\]\[1\]\["unit price"\] can't be stored: it is an instance of Money/,
    )
    expect(messageFor(new Map([['a', [Symbol('x')]]]))).toContain('a symbol')
    expect(messageFor(Buffer.from('a'))).toContain('new Uint8Array(buffer)')
    expect(messageFor(nested(501))).toContain('nested more than 500 levels deep')
    expect(messageFor(nested(501)).length).toBeLessThan(300)
    expect(thrownBy(() => encodeValue('a\n"b"', Symbol('x')))).toMatchObject({
      message: expect.stringContaining('session key "a\\n\\"b\\""') as string,
    })
  })

  test('without a change to the value', () => {
    const value = { list: [1, { f: () => 1 }] }
    expect(() => encodeValue('cart', value)).toThrow(SessionTypeError)
    expect(Object.isFrozen(value)).toBe(false)
    expect(Object.isFrozen(value.list)).toBe(false)
  })
})

describe('reading', () => {
  test('freezes plain objects and arrays, however deep', () => {
    const values = [
      { a: { b: [{ c: 1 }] } },
      [[[{}]]],
      { date: new Date(0), deep: { list: [{}] } },
      new Map([[{ key: [] }, { value: [{}] }]]),
      new Set([[{ a: [] }]]),
      { map: new Map([['a', new Set([{ b: new Map([['c', {}]]) }])]]) },
      cyclic,
    ]
    for (const value of values) {
      const loose = [...plainWithin(roundTrip(value))].filter((object) => !Object.isFrozen(object))
      expect(loose).toEqual([])
      expect([...plainWithin(roundTrip(value))].length).toBeGreaterThan(1)
    }
  })

  test('a change to what was read throws in strict mode', () => {
    const read = roundTrip({ list: [{ a: 1 }], date: new Date(0) }) as { list: { a: number }[] }
    expect(() => read.list.push({ a: 2 })).toThrow(TypeError)
    expect(() => ((read.list[0] as { a: number }).a = 2)).toThrow(TypeError)
  })

  test('gives fresh collections every time', () => {
    const text = encodeValue('key', {
      date: new Date(0),
      map: new Map([['a', 1]]),
      set: new Set([1]),
      bytes: new Uint8Array(1),
    })
    type Read = { date: Date; map: Map<string, number>; set: Set<number>; bytes: Uint8Array }
    const first = decodeValue('key', text) as Read
    first.date.setTime(1)
    first.map.set('b', 2)
    first.set.add(2)
    first.bytes[0] = 1
    const expected = { date: new Date(0), map: new Map([['a', 1]]), set: new Set([1]), bytes: new Uint8Array(1) }
    assert.deepStrictEqual(decodeValue('key', text), expected)
  })

  function* plainWithin(value: unknown, seen = new Set<unknown>()): Iterable<object> {
    if (typeof value !== 'object' || value === null || seen.has(value)) return
    seen.add(value)
    if (value instanceof Map || value instanceof Set) {
      for (const entry of value.entries()) for (const item of entry) yield* plainWithin(item, seen)
    } else if (!(value instanceof Date || ArrayBuffer.isView(value))) {
      yield value
      for (const item of Object.values(value)) yield* plainWithin(item, seen)
    }
  }
})

describe('text that nobody here has written', () => {
  const deep = 100_000
  const hostile = [
    '',
    ' ',
    'garbage',
    '{',
    '{"a":1',
    '[1,]',
    'undefined',
    "{'a':1}",
    '{"a":1}{"b":2}',
    '~',
    '~garbage',
    '~{}',
    '~{"a":1}',
    '~[]',
    '~"x"',
    '~null',
    '~-99',
    '~5',
    '~[5',
    '~[[5]]',
    '~[["Map",9,9]]',
    '~[["Nonsense",0]]',
    '~[["BigInt","x"]]',
    '~[["RegExp","("]]',
    '~[["Object",0]]',
    '~[["Uint8Array",0]]',
    '~[["Uint8Array",1],5]',
    '~[["ArrayBuffer",5]]',
    '~[["null","__proto__",1],2]',
    '~[{"__proto__":1},2]',
    '~[[-7,-1]]',
    '~[[-7,2,"__proto__",1],5]',
    '['.repeat(deep),
    '['.repeat(deep) + ']'.repeat(deep),
    '{"a":'.repeat(deep) + '1' + '}'.repeat(deep),
    `~${'['.repeat(deep)}${']'.repeat(deep)}`,
    `~[${Array.from({ length: deep }, (_, index) => `[${index + 1}]`).join(',')},5]`,
    `~[${Array.from({ length: deep }, (_, index) => `["Set",${index + 1}]`).join(',')},5]`,
  ]

  test.each(hostile.map((text) => [text.slice(0, 40), text]))('%j is ERR_RECORD', (_, text) => {
    const error = thrownBy(() => decodeValue('cart', text))
    expect(error).toBeInstanceOf(SessionError)
    expect(error).toMatchObject({ code: 'ERR_RECORD', message: `The stored value of session key "cart" can't be read` })
  })

  test('every truncation of a good text is ERR_RECORD, or a shorter number', () => {
    for (const value of [{ a: [1, 'b'] }, 'text', { when: new Date(0), map: new Map([['a', 1n]]) }, 12.5]) {
      const text = encodeValue('cart', value)
      for (let length = 0; length < text.length; length++) {
        const error = thrownBy(() => decodeValue('cart', text.slice(0, length)))
        const isNumber = /^-?\d+(\.\d+)?$/.test(text.slice(0, length))
        expect([text.slice(0, length), (error as SessionError | undefined)?.code]).toEqual([
          text.slice(0, length),
          isNumber ? undefined : 'ERR_RECORD',
        ])
      }
    }
  })

  test('is read or ERR_RECORD, never anything else, and changes no prototype', () => {
    const before = Object.getOwnPropertyNames(Object.prototype)
    const tokens = fc.constantFrom(
      '[',
      ']',
      '{',
      '}',
      '"',
      ',',
      ':',
      '~',
      '-1',
      '-7',
      '0',
      '1',
      '2',
      '"Map"',
      '"Set"',
      '"Date"',
      '"Object"',
      '"null"',
      '"Uint8Array"',
      '"ArrayBuffer"',
      '"__proto__"',
      '"constructor"',
      '"AAAA"',
    )
    const texts = fc.oneof(
      fc.string(),
      fc.array(tokens, { maxLength: 30 }).map((list) => list.join('')),
      fc.json().map((text) => `~${text}`),
      fc
        .array(
          fc.oneof(
            fc.integer({ min: -8, max: 8 }),
            fc.array(
              fc.oneof(
                fc.integer({ min: -8, max: 8 }),
                fc.constantFrom(
                  'Map',
                  'Set',
                  'null',
                  '__proto__',
                  'Date',
                  'BigInt',
                  'Uint8Array',
                  'ArrayBuffer',
                  'Object',
                ),
              ),
              { maxLength: 4 },
            ),
          ),
          { maxLength: 8 },
        )
        .map((list) => `~${JSON.stringify(list)}`),
    )
    const property = fc.property(texts, (text) => {
      const error = thrownBy(() => decodeValue('cart', text))
      return error === undefined || (error instanceof SessionError && error.code === 'ERR_RECORD')
    })
    expect(counterexample(property, 3000)).toBeUndefined()
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before)
  })
})

describe('errors show no value to a log', () => {
  test.each<[string, () => unknown]>([
    [
      'refused by the rich encoder',
      () => encodeValue('key', { a: 'canary', when: new Date(0), bad: withOwn({}, '__proto__', 'canary') }),
    ],
    ['refused before', () => encodeValue('key', { a: 'canary', f: () => 'no' })],
    ['damaged JSON', () => decodeValue('key', '{"a":"canary')],
    ['more after the end', () => decodeValue('key', '"canary" canary')],
    ['a damaged rich value', () => decodeValue('key', '~canary')],
  ])('%s', (_, call) => {
    const error = thrownBy(call)
    expect(error).toBeInstanceOf(Error)
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain('canary')
  })
})
