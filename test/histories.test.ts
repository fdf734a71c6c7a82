import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { faultNames, type HistoryReport, runHistory } from '../src/testing/index.js'
import { backendKinds, type SharedBackend } from './helpers/contract-backends.js'

// Many visitors, several servers, one store, and all that goes wrong in between. `npm run test:histories` plays longer ones.

const operations = Number(process.env['HISTORY_OPERATIONS'] ?? 10_000)
const seed = Number(process.env['HISTORY_SEED'] ?? 1)
const timeout = 60_000 + operations * 20

describe.each(backendKinds)('on $name', { timeout }, ({ name, start }) => {
  let shared: SharedBackend
  beforeAll(async () => {
    shared = await start()
  })
  afterAll(() => shared.stop())

  test.each([
    { what: 'nothing goes wrong', faults: [] },
    { what: 'calls fail, hang, arrive late or twice, and replies are mixed up', faults: faultNames },
  ])('every promise is kept while $what', async ({ faults }) => {
    const order = name === 'memory' ? 'seeded' : 'real'
    const report = await runHistory(shared.connect, { operations, faults, order, seed })
    told.push(`${name}, ${faults.length} faults: ${describeReport(report)}`)
    // Sessions ended under the hands of requests that were changing them.
    for (const verb of ['saves', 'updates']) expect(report.outcomes.get(`${verb}: gone`)).toBeGreaterThan(0)
    const hits = [...report.faults.keys()].join()
    for (const fault of faults.filter((one) => order === 'real' || one !== 'takes long')) expect(hits).toContain(fault)
  })
})

test('every fault hits every operation', async () => {
  const { faults } = await runHistory(memory(), { operations: 10_000, faults: faultNames, faultRate: 0.2, seed: 1 })
  for (const operation of ['read', 'create', 'replace', 'touch']) {
    const possible = faultNames.filter((fault) => operation === 'read' || !fault.startsWith('is answered'))
    // In a seeded order every call may take long.
    const missed = possible.filter((fault) => fault !== 'takes long' && !faults.has(`${operation} ${fault}`))
    expect([operation, missed]).toEqual([operation, []])
  }
})

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
