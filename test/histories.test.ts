import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { vishnuPython } from '../src/dialects/vishnu-python.js'
import type { Backend, DialectFactory, PlainBackend } from '../src/index.js'
import {
  type FaultName,
  faultNames,
  type HistoryOptions,
  type HistoryReport,
  runHistory,
} from '../src/testing/index.js'
import { plainMemory } from './helpers/contract-plain.js'
import { backendKinds, plainKinds, type SharedBackend } from './helpers/contract-backends.js'

// Many visitors, several servers, one store, and all that goes wrong in between. `npm run test:histories` plays longer ones.

const operations = Number(process.env['HISTORY_OPERATIONS'] ?? 10_000)
const seed = Number(process.env['HISTORY_SEED'] ?? 1)
const timeout = 60_000 + operations * 20

const native = backendKinds.map((kind) => ({ ...kind, dialect: undefined }))

describe.each([...native, ...plainKinds])('on $name', { timeout }, ({ name, start, dialect }) => {
  let shared: SharedBackend<Backend | PlainBackend>
  beforeAll(async () => {
    shared = await start()
  })
  afterAll(() => shared.stop())

  test.each([
    { what: 'nothing goes wrong', faults: [] },
    { what: 'calls fail, hang, arrive late or twice, and replies are mixed up', faults: faultNames },
  ])('every promise is kept while $what', async ({ faults }) => {
    const order = name.startsWith('memory') ? 'seeded' : 'real'
    const report = await runHistory(shared.connect, { operations, faults, order, seed, ...(dialect && { dialect }) })
    told.push(`${name}, ${faults.length} faults: ${describeReport(report)}`)
    // Sessions ended under the hands of requests that were changing them.
    for (const verb of ['saves', 'updates']) expect(report.outcomes.get(`${verb}: gone`)).toBeGreaterThan(0)
    const hits = [...report.faults.keys()].join()
    const missed = faults.filter((fault) => !hits.includes(fault) && !isPointless(fault, order, dialect))
    expect(missed).toEqual([])
  })
})

test.each([
  { layout: 'native', store: memory(), last: 'touch' },
  { layout: 'plain', store: plainMemory(), last: 'delete', dialect: vishnuPython() },
])('every fault hits every operation ($layout)', async ({ store, last, dialect }) => {
  const options: HistoryOptions = { operations: 10_000, faults: faultNames, faultRate: 0.2, seed: 1 }
  const { faults } = await runHistory(store, dialect ? { ...options, dialect } : options)
  for (const operation of ['read', 'create', 'replace', last]) {
    const unmet = faultNames.filter((fault) => !faults.has(`${operation} ${fault}`))
    const impossible = faultNames.filter((fault) => {
      if (fault.startsWith('is answered') && operation !== 'read') return true
      const isLateCreate = fault === 'arrives twice, the second time late' && operation === 'create'
      return isPointless(fault, 'seeded', dialect) || (dialect !== undefined && isLateCreate)
    })
    expect([operation, unmet]).toEqual([operation, impossible])
  }
})

/** In a seeded order every call may take long, and a plain record does not say whose it is. */
function isPointless(fault: FaultName, order: string, dialect: DialectFactory | undefined): boolean {
  if (fault === 'takes long') return order === 'seeded'
  return fault === "is answered with another key's entry" && dialect !== undefined
}

test('a history is the same every time its seed is played', async () => {
  const play = (chosen: number): Promise<HistoryReport> =>
    runHistory(memory(), { operations: 2000, faults: faultNames, seed: chosen })
  const [first, again, other] = [await play(1), await play(1), await play(2)]
  expect(again).toEqual(first)
  expect(other.digest).not.toBe(first.digest)
})

/** For the record of long runs. */
const told: string[] = []
afterAll(() => {
  if (process.env['HISTORY_OPERATIONS'] !== undefined) process.stdout.write(`${told.join('\n')}\n`)
})

function describeReport(report: HistoryReport): string {
  const { operations: done, requests, sessions, ids } = report
  const sum = (counts: Iterable<[string, number]>): number => [...counts].reduce((total, [, times]) => total + times, 0)
  const failed = sum([...report.outcomes].filter(([outcome]) => outcome.endsWith('failed')))
  return `${done} operations in ${requests} requests, ${sessions} sessions with ${ids} ids, ${sum(report.faults)} faults, ${failed} failed; seed ${report.seed}`
}
