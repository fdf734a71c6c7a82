import { randomInt } from 'node:crypto'
import type { Backend, PlainBackend } from '../backend.js'
import { HISTORY_DEFAULTS, type HistoryOptions, type HistoryReport } from './history-options.js'
import { type HistoryRule, historyRules, storyOf, type Violation } from './history-record.js'
import { tellHistory } from './history-run.js'
import type { Open } from './history-stage.js'

/** Thrown for a history that breaks a rule. The message tells the shortest story found, and how to see it again. */
export class HistoryViolation extends Error {
  /** The name of the rule. */
  readonly rule: HistoryRule
  /** What happened, one step a line. */
  readonly story: string
  /** What shows it again. */
  readonly options: HistoryOptions

  constructor({ rule, message, steps }: Violation, options: HistoryOptions) {
    const { createSessions: _, dialect: __, ...told } = options
    const story = storyOf(steps)
    super(
      `${rule} (${historyRules[rule]})\n${message}:\n${story}\nTo see it again: runHistory(open, ${JSON.stringify(told)})`,
    )
    this.name = 'HistoryViolation'
    this.rule = rule
    this.story = story
    this.options = options
  }
}

/**
 * Lets many visitors use sessions through several servers at the same time, on one store, with faults in between; writes
 * down everything they did and were told; and checks that what the contract says of data and life was kept: nothing
 * acknowledged is lost or reverted, updates count once, what was ended stays ended, and nobody gets another's session.
 *
 * `open` makes a server's connection to the store; each is closed at the end. A backend itself is shared and left open.
 *
 * ```ts
 * import { test } from 'node:test'
 * import { faultNames, runHistory } from 'vishnu/testing'
 *
 * test('no history breaks the contract', () => runHistory(() => myBackend(), { operations: 10_000, faults: faultNames }))
 * ```
 *
 * @throws {@link HistoryViolation}
 */
export async function runHistory(
  open: (() => Backend | PlainBackend) | Backend | PlainBackend,
  options: HistoryOptions = {},
): Promise<HistoryReport> {
  const chosen = { ...options, seed: options.seed ?? randomInt(2 ** 31) }
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
