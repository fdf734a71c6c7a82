import { describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import type { Backend, PlainBackend } from '../src/index.js'
import {
  backendLaws,
  type HistoryOptions,
  type HistoryRule,
  HistoryViolation,
  plainLaws,
  runHistory,
} from '../src/testing/index.js'
import { brokenBackends, RightBackend } from './helpers/broken-backends.js'
import { sharedPlainMemory } from './helpers/contract-plain.js'

// The kit is tested like anything else: bugs that real backends have had must not get past it.

interface Catch {
  readonly law?: string
  readonly rules?: HistoryRule[]
  readonly order?: 'seeded' | 'real'
}

/** Which law, and which rule of a history, catches each; a history only where a bug gets as far as a visitor. */
const caught: Record<keyof typeof brokenBackends, Catch> = {
  'an upsert: the last write wins, and creates what is gone': {
    law: 'replace of a stale version is a conflict and changes nothing',
    rules: ['updates count once', 'nothing is reverted'],
  },
  'a check, then a set': {
    law: 'of many replaces of one version at once exactly one wins',
    rules: ['updates count once', 'nothing is reverted'],
    order: 'real',
  },
  'a touch that writes the value along': {
    law: 'touch of a stale version is a conflict and changes nothing',
    rules: ['updates count once', 'nothing is reverted'],
  },
  'no deadline for what is created': { law: 'create takes the place of an expired entry' },
  'a replace that creates what is gone': {
    law: 'replace where nothing was ever stored is gone and stores nothing',
  },
  'a create that overwrites': { law: 'create answers exists for a live entry and changes nothing' },
  "now and then the reply to another one's read": { rules: ['only outages fail'] },
  'a conflict reported as success': {
    law: 'replace of a stale version is a conflict and changes nothing',
    rules: ['updates count once', 'nothing is reverted'],
  },
  'gone reported as a conflict': { law: 'replace where nothing was ever stored is gone and stores nothing' },
  'versions that repeat': { law: 'replace of a stale version is a conflict and changes nothing' },
  'a clean-up by local time': {
    law: 'create answers exists for a live entry and changes nothing',
    rules: ['nothing is lost'],
  },
  'deadlines that nobody looks at': {
    law: 'an entry is readable until the millisecond before its deadline, and not at it (today)',
  },
  'more than thirty days taken for a date': { law: 'an entry lasts 31 days, and ten years (today)' },
  'buffers shared with the caller': { law: 'what happens to a buffer after it was stored changes nothing stored' },
  'values in a text column': { law: 'a value that is not UTF-8 comes back as it was' },
  'keys regardless of case': { law: 'keys that differ only in case are different keys' },
  'keys of digits taken for numbers': { law: 'keys of digits are no numbers' },
  'dates in the time zone of each server': { law: 'servers in different time zones agree on deadlines (today)' },
  'the oldest of a hundred entries dropped, without saying so': {
    law: 'a backend that is not said to evict keeps 200 live entries',
  },
  'a sweep that removes the living': { law: 'a backend that can sweep does, and one that can not says so' },
  'a sweep that removes nothing': { law: 'a backend that can sweep does, and one that can not says so' },
  'a limit that is a byte too high': {
    law: 'a session as long as the backend allows is stored, and one byte more is refused (up to 1048576 bytes)',
  },
  'touches that get in the way of each other': {
    law: 'many touches of one version at once are all done, and it stays good for a replace',
  },
  'a touch that writes the value as text': { law: 'a value that is not UTF-8 comes back as it was' },
  "a touch after which the server's own clock ends the session": {
    law: "the server's own clean-up does not come before the deadline of a client whose clock is behind (in 2001)",
  },
  'the version of an expired entry told for its successor': {
    law: 'a version is good for a touch and then a replace, whichever operation has told it',
  },
  'a touch that ends nothing': { law: 'an entry whose deadline is now already is absent at once (today)' },
  'acknowledged before it is stored': {
    law: 'what was created is read back, with its deadline',
    rules: ['only outages fail'],
  },
  'acknowledged writes lost in a failover': {
    rules: ['updates count once', 'nothing is reverted', 'a rotated id leads nowhere'],
  },
  'reads from a copy that lags behind': {
    rules: ['nothing is reverted', 'updates count once', 'a rotated id leads nowhere'],
  },
  'a cache that a slow read fills with the past': {
    rules: ['nothing is reverted', 'updates count once', 'a rotated id leads nowhere'],
    order: 'real',
  },
  'a client that sends writes again': { rules: ['updates count once'] },
}

const names = Object.keys(caught) as (keyof typeof caught)[]

describe('a backend with', () => {
  const byLaw = names.flatMap((name) => (caught[name].law === undefined ? [] : [[name, caught[name].law] as const]))
  test.each(byLaw)('%s is caught by the law: %s', async (name, law) => {
    const backend = brokenBackends[name]()
    const check = backendLaws(() => backend).find((candidate) => candidate.name === law)?.check
    await expect(check?.()).rejects.toBeInstanceOf(Error)
  })

  const byHistory = names.filter((name) => caught[name].rules !== undefined)
  test.each(byHistory)('%s is caught by a history', { timeout: 60_000 }, async (name) => {
    const { rules, order = 'seeded' } = caught[name]
    expect(rules).toContain(await brokenRule({ order }, brokenBackends[name]()))
  })

  test('any bug of the list is caught by one of the two', () => {
    expect(names.filter((name) => !caught[name].law && !caught[name].rules)).toEqual([])
  })
})

describe('a backend that is right', () => {
  test('keeps every law', async () => {
    const backend = new RightBackend()
    for (const { check } of backendLaws(() => backend)) expect(await check()).toBeUndefined()
  })

  test('keeps every law of a plain layout', async () => {
    const { backend, other } = sharedPlainMemory()
    for (const { check } of plainLaws(() => backend, other)) expect(await check()).toBeUndefined()
  })

  test.each(['seeded', 'real'] as const)('keeps every rule of a history (%s order)', async (order) => {
    expect(await brokenRule({ order }, new RightBackend())).toBeUndefined()
    expect(await brokenRule({ order }, memory())).toBeUndefined()
  })
})

/** Each changes a right one for the worse. */
const plainFlaws: Record<string, { flaw: (right: PlainBackend) => Partial<PlainBackend>; law: string }> = {
  'writes that ask for no version': {
    flaw: (right) => ({
      replace: async (key, entry, ...rest) => right.replace(key, (await right.read(key, 0)) ?? entry, ...rest),
    }),
    law: 'replace of a stale version is a conflict and changes nothing',
  },
  'a delete that asks for no version': {
    flaw: (right) => ({
      delete: async (key, entry) => right.delete(key, (await right.read(key, 0)) ?? entry),
    }),
    law: 'delete removes exactly the given version',
  },
  'a create that overwrites': {
    flaw: (right) => ({
      create: async (key, ...rest) => {
        const entry = await right.read(key, 0)
        if (entry) await right.delete(key, entry)
        return right.create(key, ...rest)
      },
    }),
    law: 'create answers exists for whatever is there and changes nothing',
  },
  'a head of its own before each value': {
    flaw: (right) => ({
      create: (key, value, ...rest) => right.create(key, Buffer.concat([Buffer.from('1 '), value]), ...rest),
    }),
    law: 'what was created is read back, and is all that is stored',
  },
  'a list that ends too early': {
    flaw: (right) => ({
      list: async (...args) => {
        const keys = (await right.list?.(...args))?.keys ?? []
        return { keys: keys.slice(0, 10), cursor: undefined }
      },
    }),
    law: 'a backend that can list its keys lists each that stays, and comes to an end',
  },
  'a limit that is a byte too high': {
    flaw: (right) => ({
      maxBytes: 70_000,
      create: (key, value, ...rest) => right.create(key, value.subarray(0, 69_999), ...rest),
    }),
    law: 'a value as long as the backend allows, up to 1048576 bytes, comes back as it was',
  },
}

describe('a plain backend with', () => {
  test.each(Object.entries(plainFlaws))('%s is caught by a law', async (_, { flaw, law }) => {
    const { backend, other } = sharedPlainMemory()
    const laws = plainLaws(() => ({ ...backend, ...flaw(backend) }), other)
    await expect(laws.find(({ name }) => name === law)?.check()).rejects.toBeInstanceOf(Error)
  })
})

/** The rule that a history says is broken. */
async function brokenRule(options: HistoryOptions, backend: Backend): Promise<HistoryRule | undefined> {
  try {
    await runHistory(backend, { operations: 2000, seed: 1, ...options })
    return undefined
  } catch (error) {
    if (error instanceof HistoryViolation) return error.rule
    throw error
  }
}
