import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { vishnuPython } from '../src/dialects/vishnu-python.js'
import { faultNames, type HistoryOptions } from '../src/testing/index.js'
import type { Store } from '../src/testing/history-stage.js'
import { brokenCores } from './helpers/broken-cores.js'
import { plainMemory } from './helpers/contract-plain.js'
import { interleaving, ORDERS } from './helpers/contract-scheduled.js'

// Short random programs of two to four requests at once; fast-check's scheduler chooses the order of their calls to the store,
// and what breaks a rule is shrunk to the shortest programs and the fewest turns. Chosen programs are played in every order
// there is in contract-interleavings.test.ts.

const seed = Number(process.env['HISTORY_SEED'] ?? 1)
const plays = Number(process.env['HISTORY_OPERATIONS'] ?? 10_000) / 10
const numRuns = Math.ceil(plays / ORDERS)
const timeout = 60_000 + plays * 50

const kinds: { name: string; open: () => Store; options: HistoryOptions }[] = [
  { name: 'the native layout', open: () => memory(), options: {} },
  { name: 'a plain layout', open: () => plainMemory(), options: { dialect: vishnuPython() } },
]

describe.each(kinds)('on $name', { timeout }, ({ open, options }) => {
  test.each([
    { what: 'nothing goes wrong', faults: {} },
    { what: 'every tenth call goes wrong', faults: { faults: faultNames, faultRate: 0.1 } },
  ])('no order of the calls of any requests breaks a promise while $what', async ({ faults }) => {
    const property = interleaving(open, { ...options, ...faults })
    const details = await fc.check(property, { seed, numRuns })
    expect(details.failed ? await fc.asyncDefaultReportMessage(details) : undefined).toBeUndefined()
    expect(details.numRuns).toBe(numRuns)
  })
})

describe('a core that is wrong', () => {
  const findIn = (name: keyof typeof brokenCores, path?: string) => {
    const property = interleaving(() => memory(), { createSessions: brokenCores[name] })
    return fc.check(property, { seed: 1, numRuns: 200, ...(path !== undefined && { path }) })
  }

  test.each([
    'a save stores the whole session as it was loaded',
    'a log-out deletes, and a late save creates',
    'the old id lives on after a log-in',
    'of two log-ins at once both succeed',
    'an update is a get and a set',
  ] as const)(
    'is caught, with two short requests and the same again when its seed and path are played: %s',
    async (name) => {
      const found = await findIn(name)
      expect(found.failed).toBe(true)
      const [programs = []] = found.counterexample ?? []
      expect(programs.length).toBe(2)
      expect(programs.flatMap(({ steps }) => steps).length).toBeLessThanOrEqual(4)
      const again = await findIn(name, found.counterexamplePath ?? '')
      expect(messageOf(again.errorInstance)).toBe(messageOf(found.errorInstance))
    },
  )
})

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
