import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { bugs, type Better, exempt, questionable, type Row } from '../helpers/python-better.js'
import { expectedOf, type Recorded, recorded } from '../helpers/python-fixtures.js'
import { type RecordedRequest, type Scenario, scenarios, utc } from '../helpers/python-middleware.js'
import { FORGED_ID, type Outcome, runScenario, statusOf } from '../helpers/python-scenarios.js'
import { shareRedis, type SharedRedis } from '../helpers/python-sharing.js'

let shared: SharedRedis
beforeAll(async () => {
  shared = await shareRedis()
})
afterAll(() => shared.stop())
afterEach(() => shared.raw.flushall())

const exemptIds = idsOf(exempt)
const normative = scenarios.filter(({ id, status }) => status === 'normative' && !exemptIds.includes(id))

describe('every scenario of the fixture is named by one test,', () => {
  test.each([
    ['bug', 13, bugs],
    ['questionable', 34, questionable],
  ] as const)('as is each of kind "%s"', (status, count, table) => {
    const ids = scenarios.filter((scenario) => scenario.status === status).map(({ id }) => id)
    expect(ids).toHaveLength(count)
    expect(idsOf(table).toSorted()).toEqual(ids.toSorted())
  })

  test('and the exempt ones are among the 35 that are normative', () => {
    expect(new Set(exemptIds).size).toBe(exemptIds.length)
    expect(normative).toHaveLength(35 - exemptIds.length)
  })
})

/*
 * Python writes a record and sends its cookie whenever a session is used. We do so at the end of each `touchInterval`: with
 * none, whenever the clock has moved.
 */
const touchInterval = 0

/** Requests, counted from 0, to which Python sends a Set-Cookie that changes nothing for the browser, and we none. */
const NO_NEED_OF_A_COOKIE: Record<string, number> = {
  // Removes a cookie that the browser does not have.
  'manual-set-then-terminate': 0,
  'auto-set-then-terminate': 0,
  'manual-set-save-terminate': 0,
  'auto-set-save-terminate': 0,
  // Repeats the cookie at the same instant.
  'auto-set-no-save': 1,
  'manual-two-visitors': 2,
  'auto-two-visitors': 2,
}

describe("a normative scenario has Python's visible result:", () => {
  test.each(normative)('$id', async (scenario) => {
    const outcomes = await runScenario(scenario, shared, { touchInterval })
    const label = labeller(outcomes)
    let kept: { id: string; expires: number | undefined } | undefined
    for (const [index, request] of scenario.requests.entries()) {
      const outcome = outcomes[index] as Outcome
      expect(outcome.status).toBe(statusOf(request))
      expect(comparable(request, outcome.results)).toEqual(comparable(request, request.results.map(plain)))

      const { cookie } = request
      if (request.sent === null || cookie?.deletes) kept = undefined
      if (cookie && !cookie.deletes) {
        kept = { id: cookie.sid, expires: cookie.expires === null ? undefined : Date.parse(cookie.expires) }
      }
      expect(outcome.kept && { ...outcome.kept, id: label(outcome.kept.id) }).toEqual(kept)
      const isSpared = NO_NEED_OF_A_COOKIE[scenario.id] === index
      expect(outcome.setCookies).toHaveLength(cookie && !isSpared ? 1 : 0)

      const stored = Object.entries(outcome.stored).map(([id, { expires, lastAccessed, values }]) => [
        label(id),
        { expires, lastAccessed, data: recorded(values.data.entries) },
      ])
      expect(Object.fromEntries(stored)).toEqual(storedBy(request))
    }
  })
})

describe('where the Python library has a bug, ours', () => {
  test.each(rowsOf(bugs))('%s', expectBetter)
})

describe('where what the Python library does is questionable, ours', () => {
  test.each(rowsOf(questionable))('%s', expectBetter)
})

describe('exempt from what is normative: ours', () => {
  test.each(rowsOf(exempt))('%s', expectBetter)
})

async function expectBetter(_title: string, scenario: Scenario, rows: readonly Row[]): Promise<void> {
  const outcomes = await runScenario(scenario, shared, { hasOneBrowser: scenario.id.endsWith('-timeout60') })
  const label = labeller(outcomes)
  expect(outcomes.map(({ status }) => status)).toEqual(scenario.requests.map(statusOf))
  expect(outcomes.map((outcome) => rowOf(outcome, label))).toEqual(rows)
  const endsTogether = outcomes.map(({ kept, stored }) => !kept || stored[kept.id]?.expires === kept.expires)
  expect(endsTogether).not.toContain(false)
}

function idsOf(table: readonly Better[]): string[] {
  return table.flatMap((better) => better.scenarios)
}

function rowsOf(table: readonly Better[]): [title: string, Scenario, readonly Row[]][] {
  return table.flatMap(({ does, scenarios: ids, rows }) =>
    scenarios.filter(({ id }) => ids.includes(id)).map((scenario) => [`${does} (${scenario.id})`, scenario, rows]),
  )
}

/** Names the ids of sessions in the order in which a browser was given them. */
function labeller(outcomes: readonly Outcome[]): (id: string) => string {
  const ids = [...new Set(outcomes.flatMap(({ kept }) => kept?.id ?? []))]
  return (id) => {
    if (id === FORGED_ID) return 'forged'
    return ids.includes(id) ? `sid${ids.indexOf(id) + 1}` : 'nobody has it'
  }
}

function rowOf({ results, setCookies, kept, stored }: Outcome, label: (id: string) => string): Row {
  const until = kept?.expires === undefined ? '' : ` until ${new Date(kept.expires).toISOString().slice(11, 19)}`
  const verb = setCookies.length > 0 ? ['removes it', 'sets'] : ['none', 'keeps']
  const sessions = Object.entries(stored).map(([id, { values }]) => [
    label(id),
    Object.fromEntries([...values.keys()].map((key) => [key, values.get(key)?.decode()])),
  ])
  return [results, kept ? `${verb[1]} ${label(kept.id)}${until}` : String(verb[0]), Object.fromEntries(sessions)]
}

/** Without `needs_save` where nothing was set: reading is a reason to save for Python only. */
function comparable({ ops }: RecordedRequest, results: readonly unknown[]): unknown[] {
  const sets = ops.some(([name]) => name === 'set')
  return results.filter((_, index) => sets || ops[index]?.[0] !== 'needs_save')
}

function plain(result: RecordedRequest['results'][number]): unknown {
  if (typeof result !== 'object' || result === null) return result
  if ('python_exception' in result) return 'ERR_KEY'
  return plainOf(result)
}

function plainOf({ type, value, items }: Recorded): unknown {
  if (type === 'none') return null
  if (type === 'int') return Number(value)
  return items ? items.map(plainOf) : value
}

function storedBy({ stored }: RecordedRequest): object {
  const time = (text: string | null): number | undefined => (text === null ? undefined : utc(text))
  return Object.fromEntries(
    Object.entries(stored).map(([sid, { expires, last_accessed: lastAccessed, data }]) => {
      return [sid, { expires: time(expires), lastAccessed: time(lastAccessed), data: expectedOf(data) }]
    }),
  )
}
