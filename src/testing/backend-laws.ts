import assert from 'node:assert/strict'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend, Entry } from '../backend.js'
import { ConfigError } from '../errors.js'
import { OptionReader } from '../option-reader.js'
import { closeOnce, expectAnswer, HOUR, lawScene, type Laws, nameOf, RIVALS, Slot, textOf } from './backend-slot.js'
import { bufferLaws, keyLaws, valueLaws } from './byte-laws.js'
import { capabilityLaws } from './capability-laws.js'
import { checkOpen, openBackend } from './opening.js'

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
 * at the end, so they can share one server, and run side by side unless the backend cleans up by itself: they live in many
 * years. They need the real server: what a stand-in does proves nothing. A call that is not answered within 30 seconds breaks its law.
 *
 * @throws `ERR_CONFIG` if `open` is no function, or for options that there are not.
 */
export function backendLaws(open: () => Promise<Backend> | Backend, options: BackendLawsOptions = {}): BackendLaw[] {
  checkOpen('backendLaws', open)
  const { longestValue, evict } = checkOptions(options)
  const chapters: readonly Chapter[] = [
    { laws: creating, advice: CREATE },
    { laws: replacing, advice: REPLACE },
    { laws: touching, advice: TOUCH },
    { laws: deleting, advice: 'delete removes the entry, whatever its version, and nothing that comes later.' },
    {
      laws: valueLaws(longestValue),
      advice: 'Values are bytes: keep them in a column or a file of bytes, not as text.',
    },
    { laws: bufferLaws, advice: 'Copy the bytes that you keep, and hand out bytes that nobody else holds.' },
    { laws: keyLaws, advice: 'Keys are 43 characters of A-Z a-z 0-9 - _, compared as they are.' },
    {
      laws: capabilityLaws({ open, longestValue, evict }),
      advice:
        'A backend declares what it can do and what it can not: `maxBytes`, `sweep`, and the option `evict` of the laws.',
    },
  ]
  const all = chapters.flatMap((chapter) => lawsOf(chapter, Date.now()))
  for (const [age, start] of Object.entries(AGES)) {
    all.push(...lawsOf({ laws: deadlines, advice: DEADLINES }, start, ` (${age})`))
  }
  return all.map(({ name, law, advice, start }) => ({
    name,
    check: async () => {
      const backend = await openBackend('backendLaws', open)
      const scene = lawScene(backend, start)
      const end = async (): Promise<void> => {
        await Promise.allSettled(scene.slots.map((slot) => slot.delete()))
        await closeOnce(scene)
      }
      try {
        await law(new Slot(scene))
      } catch (error) {
        const isRejection = !(error instanceof assert.AssertionError)
        const doubt = isRejection && !backend.close ? WITHOUT_CLOSE : ''
        const broken = scene.calls.explain(error, `${advice} ${READ_ON}${doubt}`)
        await end().catch(() => undefined)
        throw broken
      }
      await end().catch((error: unknown) => {
        throw scene.calls.explain(error, CLOSE)
      })
    },
  }))
}

/** Laws that are broken for the same reasons. */
interface Chapter {
  readonly laws: Laws
  /** What to do if one of them is broken. */
  readonly advice: string
}

function lawsOf({ laws, advice }: Chapter, start: number, age = ''): BackendLawDraft[] {
  return Object.entries(laws).map(([name, law]) => ({ name: name + age, law, advice, start }))
}

interface BackendLawDraft {
  readonly name: string
  readonly law: Laws[string]
  readonly advice: string
  readonly start: number
}

function checkOptions(given: BackendLawsOptions): { longestValue: number; evict: BackendLawsOptions['evict'] } {
  const problems: string[] = []
  const reader = new OptionReader(given, problems)
  const longestValue = reader.integer('longestValue', MEBIBYTE, 1, 2 ** 30, 'bytes')
  const evict = reader.function<BackendLawsOptions['evict']>('evict', undefined)
  reader.refuseUnknown()
  if (problems.length > 0) throw new ConfigError('backendLaws()', problems)
  return { longestValue, evict }
}

const CREATE =
  'create stores where no live entry is, an expired one counting as none, in one conditional step of the server.'
const REPLACE =
  'replace stores if the version is the one that was read and its deadline has not come, in one conditional step of the server. It never creates.'
const TOUCH = 'touch moves the deadline and nothing else, under the condition of a replace. The version stays.'
const DEADLINES =
  'Compare deadlines with the `now` that is passed, not with the clock of this process or of the server, and keep milliseconds in a 64-bit integer.'
const CLOSE =
  'close resolves when the connections of this backend are closed. It waits for ever if one of them was not given back to its pool.'
const READ_ON = 'More: docs/backends.md, "Common mistakes".'
const WITHOUT_CLOSE =
  ' (This backend has no close(), and each law opens one: if it opens connections, they pile up, and the server refuses more.)'

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
    expectAnswer(await slot.create('second', { deadline: 2 * HOUR }), 'exists')
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
    expectAnswer(await slot.replace(stale, 'third', { deadline: 2 * HOUR }), 'conflict')
    await slot.holds('second', { deadline: HOUR })
  },
  'replace where nothing was ever stored is gone and stores nothing': async (slot) => {
    const entry = await slot.sibling().begin('first')
    expectAnswer(await slot.replace(entry, 'second'), 'gone')
    await slot.isAbsent()
  },
  'replace of an expired entry is gone and brings nothing back': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    expectAnswer(await slot.replace(entry, 'second', { deadline: 2 * HOUR, now: HOUR }), 'gone')
    await slot.isAbsent(HOUR)
  },
  'the version of an expired entry does not fit its successor under the same key': async (slot) => {
    const old = await slot.begin('first', { deadline: HOUR })
    const times = { deadline: 2 * HOUR, now: HOUR }
    await slot.begin('second', times)
    expectAnswer(await slot.replace(old, 'third', times), 'conflict')
    expectAnswer(await slot.touch(old, { deadline: 3 * HOUR, now: HOUR }), 'conflict')
    await slot.holds('second', times)
  },
  'the version of a deleted entry does not fit its successor under the same key': async (slot) => {
    const old = await slot.begin('first')
    await slot.delete()
    await slot.begin('second')
    expectAnswer(await slot.replace(old, 'third'), 'conflict')
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
        else expectAnswer(outcome, 'conflict')
      }
    }
    await Promise.all(Array.from({ length: 8 }, raise))
    await slot.holds('400')
  },
}

const touching: Laws = {
  'touch moves the deadline and nothing else': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    expectAnswer(await slot.touch(entry, { deadline: 2 * HOUR }), 'touched')
    await slot.holds('first', { deadline: 2 * HOUR })
  },
  'a touched version is good for more touches, and for a replace': async (slot) => {
    const entry = await slot.begin('first')
    expectAnswer(await slot.touch(entry, { deadline: 2 * HOUR }), 'touched')
    expectAnswer(await slot.touch(entry, { deadline: 3 * HOUR }), 'touched')
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
    expectAnswer(await slot.touch(stale, { deadline: 2 * HOUR }), 'conflict')
    await slot.holds('second', { deadline: HOUR })
  },
  'touch where nothing was ever stored is gone and stores nothing': async (slot) => {
    const entry = await slot.sibling().begin('first')
    expectAnswer(await slot.touch(entry), 'gone')
    await slot.isAbsent()
  },
  'touch of an expired entry is gone and brings nothing back': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    expectAnswer(await slot.touch(entry, { deadline: 2 * HOUR, now: HOUR }), 'gone')
    await slot.isAbsent(HOUR)
  },
  'many touches of one version at once are all done, and it stays good for a replace': async (slot) => {
    const entry = await slot.begin('first')
    const outcomes = await race((rival) => slot.touch(entry, { deadline: HOUR + rival }))
    for (const outcome of outcomes) expectAnswer(outcome, 'touched')
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
    expectAnswer(await slot.replace(entry, 'second'), 'gone')
    expectAnswer(await slot.touch(entry), 'gone')
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
    expectAnswer(await slot.create('second', { deadline: 2 * HOUR, now: HOUR - 1 }), 'exists')
    await slot.begin('third', { deadline: 2 * HOUR, now: HOUR })
  },
  'an entry can be replaced until the millisecond before its deadline': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    const last = await slot.change(entry, 'second', { deadline: HOUR, now: HOUR - 1 })
    expectAnswer(await slot.replace(last, 'third', { deadline: 2 * HOUR, now: HOUR }), 'gone')
  },
  'an entry can be touched until the millisecond before its deadline': async (slot) => {
    const entry = await slot.begin('first', { deadline: HOUR })
    expectAnswer(await slot.touch(entry, { deadline: 2 * HOUR, now: HOUR - 1 }), 'touched')
    await slot.holds('first', { deadline: 2 * HOUR, now: 2 * HOUR - 1 })
    expectAnswer(await slot.touch(entry, { deadline: 3 * HOUR, now: 2 * HOUR }), 'gone')
  },
  'a replace and a touch can bring the deadline forward': async (slot) => {
    const [replaced, touched] = [slot.sibling(), slot.sibling()]
    await replaced.change(await replaced.begin('first', { deadline: 2 * HOUR }), 'second', { deadline: HOUR })
    expectAnswer(
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
      expectAnswer(await touched.touch(await touched.begin('value'), { deadline }), 'touched')
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
  assert.ok(
    winners.length === 1,
    `expected that ${RIVALS - 1} of ${RIVALS} at once are told ${refusal}, but ${winners.length} were told otherwise`,
  )
  const winner = winners[0] ?? 0
  assert.equal(typeof outcomes[winner], 'object', `the winner was told ${nameOf(outcomes[winner])}`)
  return winner
}
