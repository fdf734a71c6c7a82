import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { Entry, PlainBackend } from '../backend.js'
import type { BackendLaw } from './backend-laws.js'
import { checkOpen, openBackend } from './opening.js'
import { assertBytes, bytesOf, HOUR, nameOf, RIVALS, textOf } from './backend-slot.js'

/** The library that shares the store, which stores and reads as it likes. */
export interface OtherLibrary {
  write: (key: string, value: Uint8Array) => Promise<void>
  read: (key: string) => Promise<Uint8Array | undefined>
}

/**
 * What every {@link PlainBackend} must do. For a backend of your own, with any runner:
 *
 * ```ts
 * import { test } from 'node:test'
 * import { plainLaws } from 'vishnu/testing'
 *
 * for (const law of plainLaws(() => myPlainBackend(), { write, read })) test(law.name, law.check)
 * ```
 *
 * `open` is called anew for each law, and what it returns is closed after the law. `other` goes to the same store without
 * this backend: its writes ask for no version. Laws use random keys and leave entries behind that end by themselves.
 *
 * @throws `ERR_CONFIG` if `open` is no function.
 */
export function plainLaws(open: () => Promise<PlainBackend> | PlainBackend, other: OtherLibrary): BackendLaw[] {
  checkOpen('plainLaws', open)
  return Object.entries(laws).map(([name, law]) => ({
    name,
    check: async () => {
      const backend = await openBackend('plainLaws', open)
      try {
        await law(new PlainSlot(backend, other))
      } finally {
        await backend.close?.()
      }
    },
  }))
}

const NOW = Date.now()
const LONGEST_VALUE = 1024 * 1024

const laws: Readonly<Record<string, (slot: PlainSlot) => Promise<void>>> = {
  'the layout is plain': async ({ backend }) =>
    assert.equal(backend.layout, 'plain', 'a backend of another layout has laws of its own: backendLaws'),
  'an absent key reads as undefined': async (slot) => assert.equal(await slot.read(), undefined),
  'what was created is read back, and is all that is stored': async (slot) => {
    await slot.begin('first')
    await slot.holds('first')
  },
  'create answers exists for whatever is there and changes nothing': async (slot) => {
    await slot.other.write(slot.key, bytesOf('foreign'))
    assert.equal(await slot.create('second'), 'exists')
    await slot.holds('foreign')
  },
  'of many creates at once exactly one wins': async (slot) => {
    const winner = soleWinner(await race((rival) => slot.create(`rival ${rival}`)), 'exists')
    await slot.holds(`rival ${winner}`)
  },
  'a replace is good with the version of a create, of a read and of a replace': async (slot) => {
    await slot.change(await slot.begin('first'), 'second')
    const third = await slot.change(await slot.found(), 'third')
    await slot.change(third, 'fourth')
    await slot.holds('fourth')
  },
  'replace of a stale version is a conflict and changes nothing': async (slot) => {
    const stale = await slot.begin('first')
    await slot.change(stale, 'second')
    assert.equal(await slot.replace(stale, 'third'), 'conflict')
    await slot.holds('second')
  },
  'replace where nothing is is gone and stores nothing': async (slot) => {
    const entry = await slot.begin('first')
    assert.equal(await slot.backend.delete(slot.key, entry), 'deleted')
    assert.equal(await slot.replace(entry, 'second'), 'gone')
    assert.equal(await slot.read(), undefined)
  },
  'of many replaces of one version at once exactly one wins': async (slot) => {
    const entry = await slot.begin('first')
    const winner = soleWinner(await race((rival) => slot.replace(entry, `rival ${rival}`)), 'conflict')
    await slot.holds(`rival ${winner}`)
  },
  'a counter that 8 workers raise 50 times each by compare-and-set is exact': async (slot) => {
    await slot.begin('0')
    // What tells the writes of two workers apart has to be in the value.
    const raise = async (worker: number): Promise<void> => {
      for (let raised = 0, attempts = 0; raised < 50; attempts++) {
        assert.ok(attempts < 1000, 'there are conflicts without a winner')
        const entry = await slot.found()
        const outcome = await slot.replace(entry, `${Number.parseInt(textOf(entry.value)) + 1} by ${worker}`)
        if (typeof outcome === 'object') raised++
        else assert.equal(outcome, 'conflict')
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, worker) => raise(worker)))
    assert.equal(Number.parseInt(textOf((await slot.found()).value)), 400)
  },
  "the other library's writes make a version stale, and can be built upon": async (slot) => {
    const stale = await slot.begin('first')
    await slot.other.write(slot.key, bytesOf('foreign'))
    assert.equal(await slot.replace(stale, 'second'), 'conflict')
    assert.equal(await slot.backend.delete(slot.key, stale), 'conflict')
    await slot.holds('foreign')
    await slot.change(await slot.found(), 'third')
    await slot.holds('third')
  },
  'an entry past its deadline is read, replaced and deleted as any other': async (slot) => {
    const entry = await slot.begin('first', NOW + HOUR)
    const late = NOW + 2 * HOUR
    assertBytes((await slot.backend.read(slot.key, late))?.value ?? new Uint8Array(), 'first')
    const outcome = await slot.backend.replace(slot.key, entry, bytesOf('second'), late + HOUR, late)
    assert.ok(typeof outcome === 'object', `expected replace to succeed, but it answered ${nameOf(outcome)}`)
    assert.equal(await slot.backend.delete(slot.key, outcome), 'deleted')
  },
  'an entry lasts ten years': async (slot) => {
    const entry = await slot.begin('first', NOW + 87_600 * HOUR)
    await slot.change(entry, 'second', NOW + 87_600 * HOUR)
    await slot.holds('second')
  },
  'delete removes exactly the given version': async (slot) => {
    const stale = await slot.begin('first')
    const entry = await slot.change(stale, 'second')
    assert.equal(await slot.backend.delete(slot.key, stale), 'conflict')
    await slot.holds('second')
    assert.equal(await slot.backend.delete(slot.key, entry), 'deleted')
    assert.equal(await slot.read(), undefined)
    assert.equal(await slot.backend.delete(slot.key, entry), 'gone')
  },
  'of many deletes at once exactly one removes': async (slot) => {
    const entry = await slot.begin('first')
    const outcomes = await race(() => slot.backend.delete(slot.key, entry))
    assert.deepEqual(outcomes.toSorted(), ['deleted', ...Array<string>(RIVALS - 1).fill('gone')])
  },
  'of a delete and a replace at once exactly one is done': async (slot) => {
    for (let round = 0; round < 16; round++) {
      const entry = await slot.begin(`round ${round}`)
      const calls = [() => slot.backend.delete(slot.key, entry), () => slot.replace(entry, 'replaced')]
      if (round % 2 === 0) calls.reverse()
      const outcomes = await Promise.all(calls.map((call) => call()))
      const isDeleted = outcomes.includes('deleted')
      assert.ok(outcomes.includes(isDeleted ? 'gone' : 'conflict'), `both answered ${outcomes.map(nameOf).join(', ')}`)
      if (!isDeleted) assert.equal(await slot.backend.delete(slot.key, await slot.found()), 'deleted')
    }
  },
  'values of every kind come back as they were': async (slot) => {
    const values = {
      empty: '',
      'every byte': Uint8Array.from({ length: 256 }, (_, byte) => byte),
      'a number': '0012.50',
      'lines of a protocol': 'VALUE x 0 5\r\nhello\r\nEND\r\n$-1\r\n',
      'a view into a larger buffer': Buffer.from('before value after').subarray(7, 12),
      long: randomBytes(65_536),
    }
    let entry = await slot.begin('first')
    for (const value of Object.values(values)) {
      entry = await slot.change(entry, value)
      await slot.holds(value)
    }
  },
  [`a value as long as the backend allows, up to ${LONGEST_VALUE} bytes, comes back as it was`]: async (slot) => {
    const value = Buffer.alloc(Math.min(slot.backend.maxBytes ?? Infinity, LONGEST_VALUE), randomBytes(65_536))
    const entry = await slot.begin(value)
    await slot.holds(value)
    await slot.change(entry, value.toReversed())
    await slot.holds(value.toReversed())
  },
  'a backend that can list its keys lists each that stays, and comes to an end': async ({ backend, other }) => {
    if (backend.list === undefined) return
    const slots = Array.from({ length: 50 }, () => new PlainSlot(backend, other))
    for (const one of slots) await one.begin('listed')
    const listed = new Set<string>()
    let cursor: string | undefined
    for (let pages = 0; pages === 0 || cursor !== undefined; pages++) {
      assert.ok(pages < 100_000, 'the pages do not end')
      const page = await backend.list(cursor)
      for (const key of page.keys) listed.add(key)
      cursor = page.cursor
    }
    assert.deepEqual(
      slots.filter(({ key }) => !listed.has(key)).map(({ key }) => key),
      [],
      'some keys are not listed',
    )
  },
  'what happens to a buffer afterwards changes neither what is stored nor its version': async (slot) => {
    const [first, second] = [Buffer.from('first'), Buffer.from('second')]
    const entry = await slot.begin(first)
    first.fill('x')
    const read = await slot.found()
    read.value.fill(0)
    await slot.holds('first')
    await slot.change(entry, second)
    second.fill('x')
    await slot.change(await slot.found(), 'third')
  },
}

/** One key, and what a law does with it. */
class PlainSlot {
  /** As the Python library's: bare ids. */
  readonly key: string = randomBytes(16).toString('hex')
  readonly backend: PlainBackend
  readonly other: OtherLibrary

  constructor(backend: PlainBackend, other: OtherLibrary) {
    this.backend = backend
    this.other = other
  }

  read(): Promise<Entry | undefined> {
    return this.backend.read(this.key, NOW)
  }

  create(value: string | Uint8Array, deadline = NOW + HOUR): Promise<Entry | 'exists'> {
    return this.backend.create(this.key, bytesOf(value), deadline, NOW)
  }

  replace(entry: Entry, value: string | Uint8Array, deadline = NOW + HOUR): Promise<Entry | 'conflict' | 'gone'> {
    return this.backend.replace(this.key, entry, bytesOf(value), deadline, NOW)
  }

  /** A create that must succeed; resolves to an entry that can be written over. */
  async begin(value: string | Uint8Array, deadline?: number): Promise<Entry> {
    return this.#written('create', await this.create(value, deadline))
  }

  /** A replace that must succeed; resolves to an entry that can be written over. */
  async change(entry: Entry, value: string | Uint8Array, deadline?: number): Promise<Entry> {
    return this.#written('replace', await this.replace(entry, value, deadline))
  }

  async found(): Promise<Entry> {
    const entry = await this.read()
    assert.ok(entry, 'expected an entry, but read told of none')
    return entry
  }

  async holds(value: string | Uint8Array): Promise<void> {
    const entry = await this.found()
    assertBytes(entry.value, value)
    assert.notEqual(entry.version, undefined, 'a read must tell the version')
    const stored = await this.other.read(this.key)
    assert.ok(stored, 'the other library does not find the entry')
    assertBytes(stored, value)
  }

  async #written(operation: string, outcome: Entry | string): Promise<Entry> {
    assert.ok(typeof outcome === 'object', `expected ${operation} to succeed, but it answered ${nameOf(outcome)}`)
    return outcome.version === undefined ? this.found() : outcome
  }
}

function race<T>(attempt: (rival: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: RIVALS }, (_, rival) => attempt(rival)))
}

/** The number of the only rival that was not told `refusal`. */
function soleWinner(outcomes: readonly (Entry | string)[], refusal: string): number {
  const winners = outcomes.flatMap((outcome, rival) => (outcome === refusal ? [] : [rival]))
  assert.equal(winners.length, 1, `expected 1 of ${RIVALS} to win, but ${winners.length} were not told ${refusal}`)
  return winners[0] ?? 0
}
