import { randomBytes } from 'node:crypto'
import type { Backend, Entry, Expiry, Sweepable } from '../backend.js'
import { ConfigError, unknownOptions } from '../errors.js'
import { sqliteStatements, type SqliteStatementTexts, TABLE_NAME } from './sqlite-statements.js'

/** What is used of a D1 binding (`D1Database` of Cloudflare's types). */
export interface D1Binding {
  prepare(sql: string): D1Statement
  batch(statements: D1Statement[]): Promise<D1Outcome[]>
}

export interface D1Statement {
  bind(...values: unknown[]): D1Statement
}

export interface D1Outcome {
  readonly results: unknown[]
  readonly meta: { readonly changes: number }
}

/** Which database. */
export interface D1Options {
  /** The binding, such as `env.DB`. Not its `withSession()`: a replica shows visitors as logged in who have logged out. */
  database: D1Binding
  /** Default `vishnu_sessions`. Made, with its index, when it is first needed. */
  table?: string
}

/** How many expired sessions a new one removes: more than one, so that the table can't grow with the dead. */
const SWEEP_PER_CREATE = 2
/** D1's limit for a row has been 1 MB and is 2 MB now: this is within both, and JSON carries each byte as a number. */
const MAX_VALUE_BYTES = 900_000

/**
 * Sessions in Cloudflare D1, for Workers. Each operation is one trip to the database's primary, and one transaction.
 *
 * @throws `ERR_CONFIG` for wrong options, such as a binding that the worker's configuration does not declare.
 */
export function d1(options: D1Options): Backend {
  const { database, table = 'vishnu_sessions' } = { ...options }
  const problems = unknownOptions({ ...options }, ['database', 'table'])
  const isBinding = typeof (database as Partial<D1Binding> | undefined)?.batch === 'function'
  if (!isBinding) problems.push('database must be a D1 binding: declare it under d1_databases in the configuration')
  if (!TABLE_NAME.test(table)) problems.push('table must be a name of letters, digits and _')
  if (problems.length > 0) throw new ConfigError('d1', problems)
  return new D1Backend(database, sqliteStatements(table))
}

type Step = [name: Exclude<keyof SqliteStatementTexts, 'setUp'>, ...values: unknown[]]

class D1Backend implements Backend, Sweepable {
  readonly maxBytes = MAX_VALUE_BYTES
  readonly #database: D1Binding
  readonly #texts: SqliteStatementTexts

  constructor(database: D1Binding, texts: SqliteStatementTexts) {
    this.#database = database
    this.#texts = texts
  }

  async read(key: string, now: number): Promise<Entry | undefined> {
    const [found] = await this.#run(['read', key, now])
    const [row] = found.results as { value: ArrayLike<number> | null; version: string; deadline: number }[]
    // D1 gives a blob as an array of numbers.
    return row && { value: Uint8Array.from(row.value ?? []), version: row.version, deadline: row.deadline }
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const version = randomBytes(12).toString('base64url')
    const step: Step = ['create', key, value, version, deadline, now]
    const [created] = await this.#run(step, ['sweep', now, SWEEP_PER_CREATE])
    return created.meta.changes > 0 ? { value, version, deadline } : 'exists'
  }

  async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const version = randomBytes(12).toString('base64url')
    const step: Step = ['replace', value, version, deadline, key, entry.version, now]
    const [replaced, found] = await this.#run(step, ['exists', key, now])
    if (replaced.meta.changes > 0) return { value, version, deadline }
    return found.results.length > 0 ? 'conflict' : 'gone'
  }

  async touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    const [touched, found] = await this.#run(['touch', deadline, key, entry.version, now], ['exists', key, now])
    if (touched.meta.changes > 0) return 'touched'
    return found.results.length > 0 ? 'conflict' : 'gone'
  }

  async delete(key: string): Promise<void> {
    await this.#run(['delete', key])
  }

  async sweep({ now }: Expiry, limit: number): Promise<{ deleted: number; done: boolean }> {
    const [swept, left] = await this.#run(['sweep', now, limit], ['firstExpired', now])
    return { deleted: swept.meta.changes, done: left.results.length === 0 }
  }

  async countExpired({ now }: Expiry): Promise<number> {
    const [counted] = await this.#run(['countExpired', now])
    return (counted.results as [{ expired: number }])[0].expired
  }

  /** All steps are one trip and one transaction. */
  async #run<Steps extends Step[]>(...steps: Steps): Promise<{ [step in keyof Steps]: D1Outcome }> {
    const statements = steps.map(([name, ...values]) => this.#database.prepare(this.#texts[name]).bind(...values))
    const outcomes = await this.#database.batch(statements).catch(async (error: unknown) => {
      // The table is made when it is missed. No promise of that is kept: requests can't await each other's on Workers.
      if (!/no such table/.test(String(error))) throw error
      await this.#database.batch(this.#texts.setUp.map((sql) => this.#database.prepare(sql)))
      return this.#database.batch(statements)
    })
    return outcomes as { [step in keyof Steps]: D1Outcome }
  }
}
