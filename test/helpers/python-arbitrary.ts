import * as fc from 'fast-check'
import { PythonValue } from '../../src/dialects/vishnu-python/python-value.js'

const pad = (number: number, digits = 2): string => String(number).padStart(digits, '0')
const fraction = fc.oneof(
  fc.constant(''),
  fc.integer({ min: 1, max: 999_999 }).map((microseconds) => `.${pad(microseconds, 6)}`),
)
const offset = fc
  .tuple(fc.constantFrom('+', '-'), fc.nat(23), fc.nat(59))
  .map(([sign, hours, minutes]) => `${hours + minutes === 0 ? '+' : sign}${pad(hours)}:${pad(minutes)}`)
const date = fc
  .tuple(fc.integer({ min: 1, max: 9999 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map(([year, month, day]) => `${pad(year, 4)}-${pad(month)}-${pad(day)}`)
const time = fc
  .tuple(fc.nat(23), fc.nat(59), fc.nat(59), fraction)
  .map(([hour, minute, second, rest]) => `${pad(hour)}:${pad(minute)}:${pad(second)}${rest}`)

const hashablePythonValue = fc.oneof(
  date.map((text) => new PythonValue('date', text)),
  time.map((text) => new PythonValue('time', text)),
  fc.tuple(time, offset).map(([text, zone]) => new PythonValue('time', text + zone)),
  fc.tuple(date, time, offset).map(([day, clock, zone]) => new PythonValue('datetime', `${day}T${clock}${zone}`)),
  fc
    .record(
      {
        days: fc.integer({ min: -999_999_999, max: 999_999_999 }),
        seconds: fc.nat(86_399),
        microseconds: fc.nat(999_999),
      },
      { noNullPrototype: true },
    )
    .map((delta) => new PythonValue('timedelta', delta)),
  fc.constantFrom('19.90', '-0', '1E+999999', 'NaN', '-Infinity').map((text) => new PythonValue('Decimal', text)),
  fc.uuid().map((text) => new PythonValue('UUID', text)),
)

const largeInteger = fc
  .bigInt({ min: -(2n ** 80n), max: 2n ** 80n })
  .filter((one) => !Number.isSafeInteger(Number(one)))
const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'constructor', '\ud800', ''))
// Numbers that Python takes for one key never meet: integers here, fractions there.
const hashable = fc.oneof(text, fc.integer(), largeInteger, fc.constant(null), fc.constant(0.5), hashablePythonValue)
const date1To9999 = fc.date({
  min: new Date(-62_135_596_800_000),
  max: new Date(253_402_300_799_999),
  noInvalidDate: true,
})
const leaf = fc.oneof(hashable, fc.boolean(), fc.double(), fc.maxSafeInteger(), fc.uint8Array(), date1To9999)

function distinct<Item>(items: readonly Item[]): Item[] {
  const seen = new Map(
    items.map((item) => [JSON.stringify(item, (_, one) => (typeof one === 'bigint' ? `${one}n` : one)), item]),
  )
  return [...seen.values()]
}

const items = fc.array(hashable, { maxLength: 5 }).map(distinct)

/** Whatever has exactly one form in Python. */
export const storable: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaf,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(text, tie('value'), { maxKeys: 5, noNullPrototype: true }),
    fc.array(tie('value'), { maxLength: 5 }).map((list) => new PythonValue('tuple', list)),
    items.map((list) => new Set(list)),
    items.map((list) => new PythonValue('frozenset', new Set(list))),
    fc.uint8Array().map((bytes) => new PythonValue('bytearray', bytes)),
    fc
      .tuple(items, tie('value'))
      .map(
        ([keys, value]) =>
          new Map<unknown, unknown>([[0.25, value], ...keys.map((key): [unknown, unknown] => [key, value])]),
      ),
  ),
})).value
