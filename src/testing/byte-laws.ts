import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { Entry } from '../backend.js'
import { assertBytes, bytesOf, HOUR, type Laws, type Slot } from './backend-slot.js'

export function valueLaws(longestValue: number): Laws {
  const kinds: Record<string, string | Uint8Array> = {
    'an empty value': '',
    'a value of every byte': Uint8Array.from({ length: 256 }, (_, byte) => byte),
    'a value of NUL bytes': new Uint8Array(100),
    'a value with line ends of every kind': '\r\n\n\r\r\n',
    'a value that reads like replies of a server': 'VALUE x 0 5\r\nhello\r\nEND\r\n$-1\r\n',
    'a value that reads like a number': '0012.50',
    'a value that is not UTF-8': Uint8Array.of(0xc3, 0x28, 0xff, 0xfe, 0xed, 0xa0, 0x80),
    'a value that reads like a token, a deadline and an entry': `${'A'.repeat(22)}0000000000001\nentry`,
    'a value that is a view into a larger buffer': Buffer.from('before value after').subarray(7, 12),
    'a value of 64 KiB': randomBytes(65_536),
    [`a value as long as the backend allows, up to ${longestValue} bytes,`]: Buffer.alloc(
      longestValue,
      // Workers give no more than 64 KiB at once.
      randomBytes(65_536),
    ),
  }
  const laws = Object.entries(kinds).map(([name, bytes]) => {
    const law = async (slot: Slot): Promise<void> => {
      const value = bytesOf(bytes).subarray(0, slot.maxBytes)
      const entry = await slot.begin(value)
      await slot.holds(value)
      // Where a touch is a write, it writes the value too.
      assert.equal(await slot.touch(entry, { deadline: 2 * HOUR }), 'touched')
      await slot.holds(value, { deadline: 2 * HOUR })
      const other = await slot.change(entry, 'something else')
      await slot.change(other, value)
      await slot.holds(value)
    }
    return [`${name} comes back as it was`, law] as const
  })
  return Object.fromEntries(laws)
}

export const bufferLaws: Laws = {
  'what happens to a buffer after it was stored changes nothing stored': async (slot) => {
    const [first, second] = [Buffer.from('first'), Buffer.from('second')]
    const entry = await slot.begin(first)
    first.fill('x')
    await slot.holds('first')
    await slot.change(entry, second)
    second.fill('x')
    await slot.holds('second')
  },
  'what happens to a buffer that was handed out changes nothing stored': async (slot) => {
    const created = await slot.create(Buffer.from('first'))
    if (typeof created === 'object') created.value.fill(0)
    await slot.holds('first')
    const found = await slot.found()
    const untouched = await slot.found()
    found.value.fill(0)
    assertBytes(untouched.value, 'first')
    await slot.change(found, Buffer.from('second'))
    await slot.holds('second')
  },
  'a backend changes no buffer and no entry that it is given': async (slot) => {
    const [first, second] = [Buffer.from('first'), Buffer.from('second')]
    const entry = await slot.begin(first)
    const copy = copyOf(entry)
    await slot.touch(entry, { deadline: 2 * HOUR })
    await slot.change(entry, second, { deadline: 3 * HOUR })
    assertBytes(first, 'first')
    assertBytes(second, 'second')
    assert.deepEqual(copyOf(entry), copy, 'the entry that was passed has changed')
  },
}

/** By hand: under jest a `structuredClone` has another prototype, and equals nothing. */
function copyOf({ value, version, ...rest }: Entry): object {
  const isBytes = version instanceof Uint8Array
  return { ...rest, value: new Uint8Array(value), version: isBytes ? new Uint8Array(version) : version }
}

export const keyLaws: Laws = {
  'keys that differ only in case are different keys': async (slot) => {
    const [lower, upper] = [slot.sibling(slot.key.toLowerCase()), slot.sibling(slot.key.toUpperCase())]
    await lower.begin('lower')
    await upper.isAbsent()
    await upper.begin('upper')
    await lower.holds('lower')
    await upper.holds('upper')
  },
  'keys of digits are no numbers': async (slot) => {
    const digits = Array.from(randomBytes(42), (byte) => byte % 10).join('')
    const [first, second] = [slot.sibling(`${digits}1`), slot.sibling(`${digits}2`)]
    await first.begin('first')
    await second.begin('second')
    await first.holds('first')
  },
  'keys may begin with, end with and hold - and _': async (slot) => {
    const middle = slot.key.slice(2, -2)
    const marked = ['-_', '_-', '--', '__'].map((mark) => slot.sibling(mark + middle + mark))
    for (const one of marked) await one.begin(one.key)
    for (const one of marked) await one.holds(one.key)
  },
}
