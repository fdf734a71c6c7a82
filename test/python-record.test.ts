import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, expect, test } from 'vitest'
import {
  decodeData,
  decodeRecord,
  decodeValue,
  encodeData,
  encodeRecord,
  encodeValue,
  noValues,
  type PythonRecord,
} from '../src/dialects/vishnu-python/record.js'
import { IntegerKey } from '../src/dialects/vishnu-python/python-nodes.js'
import { SessionError } from '../src/errors.js'
import { Changes } from '../src/record.js'
import { bytesOf, expectedOf, pickles, recorded, type RecordedSession } from './helpers/python-fixtures.js'
import { thrownBy } from './helpers/unit-errors.js'

const stored = pickles.records.filter(({ expected, decoding }) => expected === 'decode' && decoding !== undefined)

function setting(values: Record<string, unknown>): Changes {
  const changes = new Changes()
  for (const [key, value] of Object.entries(values)) changes.set(key, encodeValue(key, value))
  return changes
}

function removing(...keys: string[]): Changes {
  const changes = new Changes()
  for (const key of keys) changes.remove(key)
  return changes
}

/** The record after one request's changes, as it is read again. */
function rewritten(record: PythonRecord, changes: Changes): PythonRecord {
  return decodeRecord(encodeRecord({ ...record, values: record.values.with(changes) }))
}

function named(id: string): PythonRecord {
  const found = stored.find((record) => record.id === id)
  assert(found, `The fixture has no record ${id}`)
  return decodeRecord(bytesOf(found))
}

function pickled(...pieces: (string | number[])[]): Buffer {
  const head = 'cvishnu.backend.client\nPickleableSession\nNN'
  return Buffer.concat(
    [[0x80, 2], head, ...pieces, [0x87], 'R.'].map((piece) => Buffer.from(piece as string, 'latin1')),
  )
}

describe('changing one key of a record that Python wrote', () => {
  test('leaves every other value as it was, in all recorded records', () => {
    for (const fixture of stored) {
      const before = decodeRecord(bytesOf(fixture))
      const after = rewritten(rewritten(before, setting({ 'a new key': 1 })), removing('a new key'))
      assert.deepEqual(recorded(after.values.data.entries), recorded(before.values.data.entries), fixture.id)
    }
  })

  test('keeps a whole float a float, an int an int, and a name of a time zone', () => {
    for (const id of ['float (protocol 4)', 'datetime-aware (protocol 4)', 'datetime-naive (protocol 5)']) {
      const fixture = stored.find((record) => record.id === id)
      assert(fixture)
      const { data } = pickles.decodings[fixture.decoding ?? -1] as RecordedSession
      const after = rewritten(rewritten(named(id), setting({ 'a new key': 1 })), removing('a new key'))
      assert.deepEqual(recorded(after.values.data.entries), expectedOf(data))
    }
  })

  test('keeps two keys one object where they were', () => {
    const { values } = rewritten(named('shared-references (protocol 4)'), setting({ other: 1 }))
    const { entries } = values.data
    expect(entries.get('a')).toBe(entries.get('b'))
  })

  test('keeps data that contains itself', () => {
    const { values } = rewritten(named('data-contains-itself (protocol 4)'), setting({ other: 1 }))
    const { entries } = values.data
    expect(entries.get('me')).toBe(entries)
    expect([...values.keys()]).toEqual(['me', 'other'])
  })

  test('keeps the class that the version of Python knows', () => {
    const old = pickles.records.find(
      ({ className, expected }) => className === 'PicklableSession' && expected === 'decode',
    )
    assert(old)
    expect(rewritten(decodeRecord(bytesOf(old)), setting({ other: 1 })).className).toBe('PicklableSession')
  })

  test('finds the key that Python 2 wrote, and does not add it a second time', () => {
    const record = named('py2-pickleablesession-login (protocol 0)')
    const { values } = rewritten(record, setting({ user: 'anna' }))
    expect([...values.keys()]).toEqual(['user'])
    expect(values.data.entries.size).toBe(1)
    expect(decodeValue('user', values.get('user') ?? assert.fail())).toBe('anna')
    expect(rewritten(record, removing('user')).values.data.entries.size).toBe(0)
  })
})

describe('keys that are no text', () => {
  // {1: 'one', None: 'none', 'text': 'two'}
  const record = decodeRecord(pickled('}(', [0x4b, 1], 'U\x03oneNU\x04noneU\x04textU\x03twou'))

  test('are not listed', () => {
    expect([...record.values.keys()]).toEqual(['text'])
    expect(record.values.has('1')).toBe(false)
    expect(record.values.get('None')).toBeUndefined()
  })

  test('are kept when another key is changed', () => {
    const { values } = rewritten(record, setting({ text: 'three', other: 1 }))
    expect([...values.data.entries.keys()]).toEqual([new IntegerKey(1), null, expect.anything(), 'other'])
  })

  test('are removed by clear, as is all that it does not spare', () => {
    const changes = new Changes()
    changes.clear()
    expect(rewritten(record, changes).values.data.entries.size).toBe(0)
    changes.spared?.add('text').add('')
    expect([...rewritten(record, changes).values.keys()]).toEqual(['text'])
    expect(rewritten(record, changes).values.data.entries.size).toBe(1)
  })
})

describe('a value that can only be carried along', () => {
  // {'zone': timezone(timedelta(hours=1)), 'user': 'anna'}
  const zone = [
    'U\x04zonecdatetime\ntimezone\ncdatetime\ntimedelta\n',
    [0x4b, 0],
    [0x4d, 16, 14],
    [0x4b, 0],
    [0x87],
    'R',
    [0x85],
    'R',
  ]
  const record = decodeRecord(pickled('}(', ...zone, 'U\x04userU\x04annau'))

  test('throws ERR_RECORD when it is read, and leaves the other keys readable', () => {
    const { values } = record
    const error = thrownBy(() => decodeValue('zone', values.get('zone') ?? assert.fail()))
    assert(error instanceof SessionError)
    expect(error.code).toBe('ERR_RECORD')
    expect(error.message).toContain('"zone"')
    expect(decodeValue('user', values.get('user') ?? assert.fail())).toBe('anna')
  })

  test('is kept', () => {
    const { values } = rewritten(record, setting({ user: 'berta' }))
    assert.deepEqual(
      values.data.entries.get([...values.data.entries.keys()][0] ?? ''),
      record.values.data.entries.values().next().value,
    )
  })
})

describe('the times of a record', () => {
  const empty = { className: 'PickleableSession', values: noValues } as const

  test.each([
    [undefined, undefined],
    [Date.parse('2026-02-28T12:34:56.789Z'), Date.parse('2026-02-28T12:00:00.000Z')],
    [Date.parse('1969-12-31T23:59:59.001Z'), 0],
  ])('come back to the millisecond: %s, %s', (expires, lastAccessed) => {
    const record = decodeRecord(encodeRecord({ ...empty, expires, lastAccessed }))
    expect([record.expires, record.lastAccessed]).toEqual([expires, lastAccessed])
  })

  test('are none where Python has no such year', () => {
    const record = decodeRecord(encodeRecord({ ...empty, expires: 8.64e15, lastAccessed: 0 }))
    expect(record.expires).toBeUndefined()
  })
})

describe('the data of an NDB entity', () => {
  test('takes changes like a record', () => {
    const values = noValues.with(setting({ user: 'anna', cart: [1.5, { sku: 'a' }] }))
    const { values: read } = decodeData(encodeData(values))
    expect([...read.keys()]).toEqual(['user', 'cart'])
    expect(read.get('cart')?.decode()).toEqual([1.5, { sku: 'a' }])
  })
})

test('a record without values is not changed by those that are made from it', () => {
  noValues.with(setting({ user: 'anna' }))
  expect(noValues.has('user')).toBe(false)
  expect([...noValues.keys()]).toEqual([])
})
