import type { Backend, PlainBackend } from '../backend.js'
import { faultNames } from './faulty-backend.js'
import { checkHistoryOptions, HISTORY_DEFAULTS, type HistoryOptions, type HistoryReport } from './history-options.js'
import { type HistoryRule, historyRules, storyOf, type Violation } from './history-record.js'
import { type Open, tellHistory } from './history-run.js'
import { checkBackend } from './opening.js'

/** Thrown for a history that breaks a rule. The message tells the shortest story found, and how to see it again. */
export class HistoryViolation extends Error {
  /** The name of the rule. */
  readonly rule: HistoryRule
  /** What happened, one step a line. */
  readonly story: string
  /** What shows it again. */
  readonly options: HistoryOptions

  constructor({ rule, message, steps }: Violation, options: HistoryOptions) {
    const story = storyOf(steps)
    super([`${rule} (${historyRules[rule]})`, `${message}:`, story, COLUMNS, againWith(options)].join('\n'))
    this.name = 'HistoryViolation'
    this.rule = rule
    this.story = story
    this.options = options
  }
}

const COLUMNS = '(First to last step, seconds on the clock of the servers. Steps that overlap ran at the same time.)'

function againWith(options: HistoryOptions): string {
  const { createSessions: _, dialect: __, faults, ...rest } = options
  const hasAll = faults?.length === faultNames.length
  const told = Object.entries({ ...rest, faults: hasAll ? undefined : faults })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  const again = `runHistory(open, { ${[...told, ...(hasAll ? ['faults: faultNames'] : [])].join(', ')} })`
  return rest.order === 'real' ? `To try it again, maybe more than once: ${again}` : `To see it again: ${again}`
}

/**
 * Lets many visitors use sessions through several servers at the same time, on one store, with faults in between; writes
 * down everything they did and were told; and checks that what the contract says of data and life was kept: nothing
 * acknowledged is lost or reverted, updates count once, what was ended stays ended, and nobody gets another's session.
 *
 * `open` makes a server's connection to the store; each is closed at the end. A backend itself is shared and left open: then
 * nothing is found that is between two servers, such as a cache in one of them.
 *
 * To a server that runs elsewhere play both orders. With `order: 'seeded'`, the default, calls come one at a time, and a
 * backend that looks first and writes then is not found out; with `order: 'real'` they come side by side.
 *
 * ```ts
 * import { test } from 'node:test'
 * import { faultNames, runHistory } from 'vishnu/testing'
 *
 * test('no history breaks the contract', () => runHistory(() => myBackend(), { operations: 10_000, faults: faultNames }))
 * ```
 *
 * @throws {@link HistoryViolation}; `ERR_CONFIG` for wrong options; an error that says so if a call is not answered within 30 seconds
 */
export async function runHistory(
  open: (() => Backend | PlainBackend | Promise<Backend | PlainBackend>) | Backend | PlainBackend,
  options: HistoryOptions = {},
): Promise<HistoryReport> {
  const chosen = checkHistoryOptions(options)
  if (typeof open !== 'function') checkBackend('runHistory', open)
  const found = await tellHistory(open, chosen)
  if ('outcomes' in found) return found
  throw await shortestStory(open, chosen, found)
}

/**
 * Smaller histories are tried, smallest first, until one breaks the same rule. Always with the same seeds, so that to play
 * the found one again finds nothing smaller.
 */
async function shortestStory(
  open: Open,
  options: HistoryOptions & { seed: number },
  violation: Violation,
): Promise<HistoryViolation> {
  const { operations = HISTORY_DEFAULTS.operations, clients = HISTORY_DEFAULTS.clients } = options
  for (const fewer of [10, 20, 40, 80, 160, 320].filter((number) => number < operations)) {
    for (const fewerClients of [2, 4].filter((number) => number <= clients)) {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const smaller = { ...options, operations: fewer, clients: fewerClients, seed }
        const found = await tellHistory(open, smaller)
        if ('rule' in found && found.rule === violation.rule) return new HistoryViolation(found, smaller)
      }
    }
  }
  return new HistoryViolation(violation, options)
}

/** How many are tried of each smaller size. */
const SEEDS = 5
