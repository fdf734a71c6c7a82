import { randomInt } from 'node:crypto'
import type { SessionsOptions } from '../config.js'
import type { DialectFactory } from '../dialect.js'
import { ConfigError } from '../errors.js'
import { OptionReader } from '../option-reader.js'
import { type FaultName, problemsOfFaults, problemsOfRate } from './faulty-backend.js'
import type { TestedSessions } from './history-world.js'

/** What a history is made of. */
export interface HistoryOptions {
  /** How many things clients do: opening a session, each call on it, responding. Default 1,000. */
  operations?: number
  /** How many requests there are at a time. Default 8. Four clients at a time are one visitor's, and share a cookie. */
  clients?: number
  /** How many servers there are, each with a connection of its own to the one store. Default 3. */
  servers?: number
  /** What goes wrong between a server and the store. Default: nothing. */
  faults?: readonly FaultName[]
  /** The share of calls that go wrong if there are faults. Default 0.05. */
  faultRate?: number
  /** A whole number from 0 to 4,294,967,295. Default: a random one, which the report tells. */
  seed?: number
  /**
   * `seeded`: the store gets one call at a time, in an order drawn from the seed, so that on a backend in this process a
   * seed gives the same history again. `real`: as the calls come, side by side. Default `seeded`.
   */
  order?: 'seeded' | 'real'
  /** The store itself is being broken meanwhile, killed or cut off: requests may fail. Default false. */
  interrupted?: boolean
  /** The store may lose sessions: it evicts, or restarts empty. Then missing ones are no violation. Default false. */
  forgets?: boolean
  /** How sessions are written down, for backends of a plain layout. Default: the library's own way. */
  dialect?: DialectFactory
  /** Another core to try than ours. */
  createSessions?: (options: SessionsOptions) => TestedSessions
}

/** What came of a history that kept every rule. */
export interface HistoryReport {
  readonly seed: number
  readonly operations: number
  readonly requests: number
  /** How many sessions there were, and how many ids they had. */
  readonly sessions: number
  readonly ids: number
  /** How often each verb ended how, such as `saves: gone`. */
  readonly outcomes: ReadonlyMap<string, number>
  /** How often each fault has hit each operation, such as `replace hangs`. */
  readonly faults: ReadonlyMap<string, number>
  /** Of all that happened: equal for equal histories. */
  readonly digest: string
}

/** What an option is that is left out. */
export const HISTORY_DEFAULTS: Required<
  Pick<HistoryOptions, 'operations' | 'clients' | 'servers' | 'faults' | 'order'>
> = { operations: 1000, clients: 8, servers: 3, faults: [], order: 'seeded' }

/**
 * The options that are given, with a seed. A misspelt fault would break a rule by itself, and a history of `NaN` operations
 * would find nothing wrong with any backend.
 *
 * @throws `ERR_CONFIG`
 */
export function checkHistoryOptions(given: HistoryOptions): HistoryOptions & { readonly seed: number } {
  const { faultRate, ...others } = given
  const problems: string[] = []
  const reader = new OptionReader(others, problems)
  reader.integer('operations', undefined, 1, MANY, 'operations')
  reader.integer('clients', undefined, 1, MANY, 'clients')
  reader.integer('servers', undefined, 1, MANY, 'servers')
  const seed = reader.integer('seed', undefined, 0, 2 ** 32 - 1, 'any kind')
  reader.choice('order', ['seeded', 'real'], undefined)
  reader.flag('interrupted', false)
  reader.flag('forgets', false)
  reader.function('dialect', given.dialect)
  reader.function('createSessions', given.createSessions)
  reader.list('faults')
  problems.push(...problemsOfFaults(given.faults), ...problemsOfRate('faultRate', faultRate))
  reader.refuseUnknown()
  if (problems.length > 0) throw new ConfigError('runHistory()', problems)
  const chosen = Object.entries(given).filter(([, value]) => (value ?? undefined) !== undefined)
  return { ...Object.fromEntries(chosen), seed: seed ?? randomInt(2 ** 31) }
}

const MANY = 1_000_000_000
