import { describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { createSessions, type SessionsOptions } from '../src/index.js'
import {
  type HistoryOptions,
  type HistoryReport,
  type HistoryRule,
  HistoryViolation,
  runHistory,
  type TestedSessions,
} from '../src/testing/index.js'
import { brokenCores } from './helpers/broken-cores.js'
import { SimpleCore } from './helpers/simple-core.js'

// Session libraries have had each of these bugs. A history that let one pass would prove nothing about ours.

const outages = ['fails before it is applied', 'fails after it was applied'] as const

const caught: Record<keyof typeof brokenCores, { rules: HistoryRule[]; faults?: typeof outages }> = {
  'a save stores the whole session as it was loaded': { rules: ['nothing is reverted', 'updates count once'] },
  'values are merged member by member': { rules: ['values stay whole'] },
  'a session that has ended is saved under a fresh id': { rules: ['a cookie only for own deeds'] },
  'a log-out deletes, and a late save creates': {
    rules: ['nothing is reverted', 'a terminated session never comes back', 'gone stays gone'],
  },
  'a response without a session clears the cookie': { rules: ['a cookie only for own deeds'] },
  'a new session gets the id that the cookie asks for': { rules: ['unknown ids are not adopted'] },
  'the old id lives on after a log-in': {
    rules: ['a rotated id leads nowhere', 'updates count once', 'nothing is reverted'],
  },
  'a log-in takes along what was loaded, not what was stored since': {
    rules: ['nothing is reverted', 'updates count once'],
  },
  'of two log-ins at once both succeed': {
    rules: ['nothing is reverted', 'updates count once', 'a rotated id leads nowhere'],
  },
  'a log-out only clears the cookie': { rules: ['a terminated session never comes back'] },
  'a log-out is lost now and then': { rules: ['a terminated session never comes back'] },
  'an outage is taken for a visitor without a session': {
    rules: ['nothing is lost', 'gone stays gone'],
    faults: outages,
  },
  'an update is repeated when its reply is lost': { rules: ['updates count once'], faults: outages },
  'an update is a get and a set': { rules: ['updates count once'] },
  'a request that only reads writes back what it read': { rules: ['nothing is reverted', 'updates count once'] },
  'no session expires': { rules: ['deadlines are kept'] },
  'ids are short, and nobody looks whether one is taken': {
    rules: ['no session of another visitor', 'unknown ids are not adopted'],
  },
}

describe('a core in which', () => {
  test.each(Object.entries(caught))('%s is caught by a history', async (name, { rules, faults = [] }) => {
    const create = brokenCores[name as keyof typeof brokenCores]
    const violation = await run({ faults }, create)
    expect(violation).toBeInstanceOf(HistoryViolation)
    expect(rules).toContain((violation as HistoryViolation).rule)
  })
})

describe('a core that is right', () => {
  test.each<[string, (options: SessionsOptions) => TestedSessions]>([
    ['as small as can be', (options) => new SimpleCore(options)],
    ['our own', createSessions],
  ])('keeps every rule, with outages and without: %s', async (_, create) => {
    for (const faults of [[], outages]) expect(await run({ faults }, create)).not.toBeInstanceOf(Error)
  })
})

test('the story of a violation is short, and the same every time its options are played', async () => {
  const create = brokenCores['a save stores the whole session as it was loaded']
  const violation = (await run({}, create)) as HistoryViolation
  expect(violation.story.split('\n').length).toBeLessThanOrEqual(6)
  expect(violation.options.operations).toBeLessThan(200)
  const again = (await run(violation.options, create)) as HistoryViolation
  expect(again.story).toBe(violation.story)
})

function run(
  options: HistoryOptions,
  create: (options: SessionsOptions) => TestedSessions,
): Promise<HistoryReport | HistoryViolation> {
  return runHistory(memory(), { operations: 5000, seed: 1, ...options, createSessions: create }).catch(
    (error: unknown) => {
      if (error instanceof HistoryViolation) return error
      throw error
    },
  )
}
