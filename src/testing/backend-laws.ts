import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend, Entry } from '../backend.js'
import { assertBytes, bytesOf, HOUR, type Laws, nameOf, RIVALS, Slot, textOf } from './backend-slot.js'
import { capabilityLaws } from './capability-laws.js'

/** One rule of the contract of {@link Backend}, as a test for any runner. */
export interface BackendLaw {
  /** A sentence about what a backend does. */
  name: string
  /** Rejects, saying what was expected and what came, if the backend breaks the law. */
  check: () => Promise<void>
}

export interface BackendLawsOptions {
  /** The longest value to try, in bytes, unless the backend's `maxBytes` is less. Default 1 MiB. */
  longestValue?: number
  /**
   * For a backend that may evict: makes its server drop the entry under this key to make room, as it does when it is full.
   * Adds the laws of what an evicted entry is. Default: the backend never drops a live entry.
   */
  evict?: (key: string) => Promise<void>
}

/**
 * What every backend must do, as tests. For a backend of your own, with any runner:
 *
 * ```ts
 * import { test } from 'node:test'
 * import { backendLaws } from 'vishnu/testing'
 *
 * for (const law of backendLaws(() => myBackend())) test(law.name, law.check)
 * ```
 *
 * `open` is called anew for each law, and what it returns is closed after the law. Laws use random keys and remove them
 * at the end, so they can share one server and run side by side. They need the real server: what a stand-in does proves
 * nothing.
 */
export function backendLaws(open: () => Promise<Backend> | Backend, options: BackendLawsOptions = {}): BackendLaw[] {
  const { longestValue = MEBIBYTE, evict } = options
  const operations = { ...creating, ...replacing, ...touching, ...deleting }
  const alike = {
    ...operations,
    ...values(longestValue),
    ...buffers,
    ...keys,
    ...capabilityLaws({ longestValue, evict }),
  }
  const laws = Object.entries(alike).map(([name, law]) => ({ name, law, start: Date.now() }))
  for (const [age, start] of Object.entries(AGES)) {
    for (const [name, law] of Object.entries(deadlines)) laws.push({ name: `${name} (${age})`, law, start })
  }
  return laws.map(({ name, law, start }) => ({
    name,
    check: async () => {
      const backend = await open()
      const slots: Slot[] = []
      try {
        await law(new Slot(backend, start, slots))
      } finally {
        await Promise.allSettled(slots.map((slot) => slot.delete()))
        await backend.close?.()
      }
    },
  }))
}

const [SECOND, DAY, YEAR] = [1000, 86_400_000, 365 * 86_400_000]
const MEBIBYTE = 1024 * 1024

/** Deadlines are judged by the `now` that is passed: what this machine or the server take for now must not matter. */
const AGES = { 'in 2001': 1_000_000_000_000, today: Date.now(), 'in 2100': 4_102_444_800_000 }

const creating: Laws = {
  'an absent key reads as undefined': (slot) => slot.isAbsent(),
  'what was created is read back, with its deadline': async (slot) => {
    await slot.begin('first', { deadline: HOUR })
    await slot.holds('first', { deadline: HOUR })
  },
  'create answers exists for a live entry and changes nothing': async (slot) => {
    await slot.begin('first')
    assert.equal(await slot.create('second', { deadline: 2 * HOUR }), 'exists')
    await slot.holds('first', { deadline: HOUR })
  },
  'create takes the place of an expired entry': async (slot) => {
    await slot.begin('first', { deadline: HOUR })
    await slot.begin('second', { deadline: 2 * HOUR, now: HOUR })
    await slot.holds('second', { deadline: 2 * HOUR, now: HOUR })
  },
  'of many creates at once exactly one wins': (slot) => exactlyOneCreates(slot, 0),
  'of many creates at once over an expired entry exactly one wins': async (slot) => {
    await slot.begin('expired', { deadline: SECOND })
    await exactlyOneCreates(slot, SECOND)
  },
}

async function exactlyOneCreates(slot: Slot, now: number): Promise<void> {
  const outcomes = await race((rival) => slot.create(`rival ${rival}`, { now }))
  const winner = soleWinner(outcomes, 'exists')
  await slot.holds(`rival ${winner}`, { now })
}

const replacing: Laws = {
  'replace stores new bytes and a new deadline': async (slot) => {
    const entry = await slot.begin('first')
    await slot.change(entry, 'second', { deadline: 2 * HOUR })
    await slot.holds('second', { deadline: 2 * HOUR })
  },
  'the version of a read is good for a replace': async (slot) => {
    await slot.begin('first')
    await slot.change(await slot.found(), 'second')
    await slot.holds('second')
  },
  'the version of a replace is good for the next': async (slot) => {
    let entry = await slot.begin('first')
    for (const value of ['second', 'third', 'fourth']) entry = await slot.change(entry, value)
    await slot.holds('fourth')
  },
  'replace of a stale version is a conflict and changes nothing': async (slot) => {
    const stale = await slot.begin('first')
    await slot.change(stale, 'second')
    assert.equal(await slot.replace(stale, 'third', { deadline: 2 * HOUR }), 'conflict')
    await slot.holds('second', { deadline: HOUR })
  },
  'replace where nothing was ever stored is gone and stores nothing': async (slot) => {
    const entry = await slot.sibling().begin('first')
    assert.equal(await slot.replace(entry, 'second'), 'gone')
    await slot.isAbsent()
  },
  'replace of an expired entry is gone and brings nothing back': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    assert.equal(await slot.replace(entry, 'second', { deadline: 2 * HOUR, now: HOUR }), 'gone')
    await slot.isAbsent(HOUR)
  },
  'the version of an expired entry does not fit its successor under the same key': async (slot) => {
    const old = await slot.begin('first', { deadline: HOUR })
    const times = { deadline: 2 * HOUR, now: HOUR }
    await slot.begin('second', times)
    assert.equal(await slot.replace(old, 'third', times), 'conflict')
    assert.equal(await slot.touch(old, { deadline: 3 * HOUR, now: HOUR }), 'conflict')
    await slot.holds('second', times)
  },
  'the version of a deleted entry does not fit its successor under the same key': async (slot) => {
    const old = await slot.begin('first')
    await slot.delete()
    await slot.begin('second')
    assert.equal(await slot.replace(old, 'third'), 'conflict')
    await slot.holds('second')
  },
  'of many replaces of one version at once exactly one wins': async (slot) => {
    const entry = await slot.begin('first')
    const outcomes = await race((rival) => slot.replace(entry, `rival ${rival}`))
    await slot.holds(`rival ${soleWinner(outcomes, 'conflict')}`)
  },
  'a counter that 8 workers raise 50 times each by compare-and-set is exact': async (slot) => {
    await slot.begin('0')
    const raise = async (): Promise<void> => {
      for (let raised = 0, attempts = 0; raised < 50; attempts++) {
        assert.ok(attempts < 1000, 'there are conflicts without a winner')
        const entry = await slot.found()
        const outcome = await slot.replace(entry, String(Number(textOf(entry.value)) + 1))
        if (typeof outcome === 'object') raised++
        else assert.equal(outcome, 'conflict')
      }
    }
    await Promise.all(Array.from({ length: 8 }, raise))
    await slot.holds('400')
  },
}

const touching: Laws = {
  'touch moves the deadline and nothing else': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    assert.equal(await slot.touch(entry, { deadline: 2 * HOUR }), 'touched')
    await slot.holds('first', { deadline: 2 * HOUR })
  },
  'a touched version is good for more touches, and for a replace': async (slot) => {
    const entry = await slot.begin('first')
    assert.equal(await slot.touch(entry, { deadline: 2 * HOUR }), 'touched')
    assert.equal(await slot.touch(entry, { deadline: 3 * HOUR }), 'touched')
    await slot.change(entry, 'second', { deadline: 4 * HOUR })
    await slot.holds('second', { deadline: 4 * HOUR })
  },
  'a version is good for a touch and then a replace, whichever operation has told it': async (slot) => {
    const now = HOUR
    const times = { deadline: 2 * HOUR, now }
    const [created, read, replaced, renewed] = [slot.sibling(), slot.sibling(), slot.sibling(), slot.sibling()]
    await read.begin('first', times)
    await renewed.begin('expired', { deadline: HOUR })
    const told = [
      [created, await created.begin('first', times)],
      [read, await read.found(now)],
      [replaced, await replaced.change(await replaced.begin('first', times), 'second', times)],
      [renewed, await renewed.begin('first', times)],
    ] as const
    for (const [one, entry] of told) {
      assert.equal(await one.touch(entry, { deadline: 3 * HOUR, now }), 'touched')
      await one.change(entry, 'changed', { deadline: 4 * HOUR, now })
      await one.holds('changed', { deadline: 4 * HOUR, now })
    }
  },
  'touch of a stale version is a conflict and changes nothing': async (slot) => {
    const stale = await slot.begin('first')
    await slot.change(stale, 'second')
    assert.equal(await slot.touch(stale, { deadline: 2 * HOUR }), 'conflict')
    await slot.holds('second', { deadline: HOUR })
  },
  'touch where nothing was ever stored is gone and stores nothing': async (slot) => {
    const entry = await slot.sibling().begin('first')
    assert.equal(await slot.touch(entry), 'gone')
    await slot.isAbsent()
  },
  'touch of an expired entry is gone and brings nothing back': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    assert.equal(await slot.touch(entry, { deadline: 2 * HOUR, now: HOUR }), 'gone')
    await slot.isAbsent(HOUR)
  },
  'many touches of one version at once are all done, and it stays good for a replace': async (slot) => {
    const entry = await slot.begin('first')
    const outcomes = await race((rival) => slot.touch(entry, { deadline: HOUR + rival }))
    assert.deepEqual(outcomes, Array(RIVALS).fill('touched'))
    const { deadline = 0 } = await slot.found()
    assert.ok(
      outcomes.some((_, rival) => deadline === slot.start + HOUR + rival),
      'a deadline that nobody has set',
    )
    await slot.change(entry, 'second', { deadline: 2 * HOUR })
    await slot.holds('second', { deadline: 2 * HOUR })
  },
  'of a touch and a replace at once the replace is kept, with its deadline': async (slot) => {
    let entry = await slot.begin('round 0')
    for (let round = 1; round <= 16; round++) {
      const version = entry
      const touch = (): Promise<unknown> => slot.touch(version, { deadline: 3 * HOUR })
      const replace = (): Promise<Entry> => slot.change(version, `round ${round}`, { deadline: 2 * HOUR })
      const isTouchFirst = round % 2 === 0
      const outcomes = await Promise.all(isTouchFirst ? [touch(), replace()] : [replace(), touch()])
      entry = outcomes[isTouchFirst ? 1 : 0] as Entry
      await slot.holds(`round ${round}`, { deadline: 2 * HOUR })
    }
  },
}

const deleting: Laws = {
  'delete removes the entry, whatever its version': async (slot) => {
    const entry = await slot.begin('first')
    await slot.change(entry, 'second')
    await slot.delete()
    await slot.isAbsent()
  },
  'delete of an absent key is no error': (slot) => slot.delete(),
  'after a delete replace and touch are gone, and create begins anew': async (slot) => {
    const entry = await slot.begin('first')
    await slot.delete()
    assert.equal(await slot.replace(entry, 'second'), 'gone')
    assert.equal(await slot.touch(entry), 'gone')
    await slot.isAbsent()
    await slot.begin('third')
    await slot.holds('third')
  },
}

const deadlines: Laws = {
  'an entry is readable until the millisecond before its deadline, and not at it': async (slot) => {
    await slot.begin('first', { deadline: HOUR })
    await slot.holds('first', { deadline: HOUR, now: HOUR - 1 })
    await slot.isAbsent(HOUR)
  },
  'an entry stands in the way of a create until the millisecond before its deadline': async (slot) => {
    await slot.begin('first', { deadline: HOUR })
    assert.equal(await slot.create('second', { deadline: 2 * HOUR, now: HOUR - 1 }), 'exists')
    await slot.begin('third', { deadline: 2 * HOUR, now: HOUR })
  },
  'an entry can be replaced until the millisecond before its deadline': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    const last = await slot.change(entry, 'second', { deadline: HOUR, now: HOUR - 1 })
    assert.equal(await slot.replace(last, 'third', { deadline: 2 * HOUR, now: HOUR }), 'gone')
  },
  'an entry can be touched until the millisecond before its deadline': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    assert.equal(await slot.touch(entry, { deadline: 2 * HOUR, now: HOUR - 1 }), 'touched')
    await slot.holds('first', { deadline: 2 * HOUR, now: 2 * HOUR - 1 })
    assert.equal(await slot.touch(entry, { deadline: 3 * HOUR, now: 2 * HOUR }), 'gone')
  },
  'a replace and a touch can bring the deadline forward': async (slot) => {
    const [replaced, touched] = [slot.sibling(), slot.sibling()]
    await replaced.change(await replaced.begin('first', { deadline: 2 * HOUR }), 'second', { deadline: HOUR })
    assert.equal(
      await touched.touch(await touched.begin('second', { deadline: 2 * HOUR }), { deadline: HOUR }),
      'touched',
    )
    for (const one of [replaced, touched]) {
      await one.holds('second', { deadline: HOUR, now: HOUR - 1 })
      await one.isAbsent(HOUR)
    }
  },
  'an entry whose deadline is now already is absent at once': async (slot) => {
    await slot.create('first', { deadline: 0 })
    await slot.isAbsent()
    const [replaced, touched] = [slot.sibling(), slot.sibling()]
    await replaced.replace(await replaced.begin('second'), 'third', { deadline: 0 })
    await touched.touch(await touched.begin('second'), { deadline: 0 })
    for (const one of [replaced, touched]) await one.isAbsent()
  },
  'an entry lasts 31 days, and ten years': async (slot) => {
    for (const deadline of [31 * DAY, 10 * YEAR]) {
      const [created, replaced, touched] = [slot.sibling(), slot.sibling(), slot.sibling()]
      await created.begin('value', { deadline })
      await replaced.change(await replaced.begin('first'), 'value', { deadline })
      assert.equal(await touched.touch(await touched.begin('value'), { deadline }), 'touched')
      for (const one of [created, replaced, touched]) {
        await one.holds('value', { deadline, now: deadline - 1 })
        await one.isAbsent(deadline)
      }
    }
  },
  'servers in different time zones agree on deadlines': async (slot) => {
    await inTimeZone('Pacific/Kiritimati', async () => {
      const entry = await slot.begin('first')
      await slot.change(entry, 'second')
    })
    await inTimeZone('Pacific/Honolulu', async () => {
      await slot.holds('second', { now: HOUR - 1 })
      await slot.isAbsent(HOUR)
    })
  },
  "the server's own clean-up does not come before the deadline of a client whose clock is behind": async (slot) => {
    const [created, replaced, touched] = [slot.sibling(), slot.sibling(), slot.sibling()]
    await created.begin('value', { deadline: 1 })
    await replaced.change(await replaced.begin('first'), 'value', { deadline: 1 })
    assert.equal(await touched.touch(await touched.begin('value'), { deadline: 1 }), 'touched')
    await sleep(20)
    for (const one of [created, replaced, touched]) await one.holds('value', { deadline: 1 })
  },
}

function values(longestValue: number): Laws {
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

const buffers: Laws = {
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
    const copy = structuredClone({ ...entry, value: new Uint8Array(entry.value) })
    await slot.touch(entry, { deadline: 2 * HOUR })
    await slot.change(entry, second, { deadline: 3 * HOUR })
    assertBytes(first, 'first')
    assertBytes(second, 'second')
    assert.deepEqual({ ...entry, value: new Uint8Array(entry.value) }, copy)
  },
}

const keys: Laws = {
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

const TIME_ZONE = process.env['TZ']

/** Of this process: what a runtime can't change at run time it does not get wrong here. */
async function inTimeZone(zone: string, work: () => Promise<void>): Promise<void> {
  process.env['TZ'] = zone
  try {
    await work()
  } finally {
    if (TIME_ZONE === undefined) delete process.env['TZ']
    else process.env['TZ'] = TIME_ZONE
  }
}

function race<T>(attempt: (rival: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: RIVALS }, (_, rival) => attempt(rival)))
}

/** The number of the only rival that was not told `refusal`. */
function soleWinner(outcomes: readonly (Entry | string)[], refusal: string): number {
  const winners = outcomes.flatMap((outcome, rival) => (outcome === refusal ? [] : [rival]))
  assert.equal(winners.length, 1, `expected 1 of ${RIVALS} to win, but ${winners.length} were not told ${refusal}`)
  const winner = winners[0] ?? 0
  assert.equal(typeof outcomes[winner], 'object', `the winner was told ${nameOf(outcomes[winner])}`)
  return winner
}
