import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend, Entry, Expiry, Sweepable } from '../backend.js'
import { ConfigError, describeValue, unknownOptions } from '../errors.js'
import { isBusy, openDatabase, type SqliteDatabase, type SqliteStatement } from './sqlite-database.js'
import { sqliteStatements, TABLE_NAME } from './sqlite-statements.js'

export type { SqliteDatabase, SqliteStatement }

/** Which database, and how safely it is written. */
export interface SqliteOptions {
  /** Made if it is not there. Default `sessions.sqlite` in the working directory. Not on a network drive. */
  file?: string
  /**
   * An open database of `node:sqlite`, `bun:sqlite`, `libsql` or `better-sqlite3`. It stays yours to configure and close.
   * While a transaction of yours is open on it, nothing is stored, and what has to be is an outage: end it before you await.
   */
  database?: SqliteDatabase
  /** Default `vishnu_sessions`. */
  table?: string
  /** `full`, the default: what is acknowledged survives a power cut. `normal` is faster and may lose the last moments. */
  synchronous?: 'full' | 'normal'
}

/** Longer than a visitor waits, shorter than for ever. */
const BUSY_MS = 10_000
/** Every so many new sessions, up to four times as many expired ones are removed: the file can't grow with the dead. */
const SWEEP_EVERY = 64
const MAX_VALUE_BYTES = 900_000_000

/**
 * Sessions in one SQLite file: they survive restarts, and all processes of one machine may share them.
 *
 * Uses `bun:sqlite` or `node:sqlite` where the runtime has it, else the package `libsql`.
 *
 * @throws `ERR_CONFIG` for wrong options or a file that can't be opened, `ERR_CLIENT_MISSING` if there is no driver.
 */
export function sqlite(options: SqliteOptions = {}): Backend {
  const { file, database, table = 'vishnu_sessions', synchronous = 'full' } = options
  const problems = unknownOptions(options, ['file', 'database', 'table', 'synchronous'])
  if (file !== undefined && (typeof file !== 'string' || file === '')) {
    problems.push(`file must be a path, not ${describeValue(file)}`)
  }
  if (file !== undefined && database !== undefined) problems.push('database is open already: leave out file')
  if (!TABLE_NAME.test(table)) problems.push('table must be a name of letters, digits and _')
  if (synchronous !== 'full' && synchronous !== 'normal') problems.push('synchronous must be full or normal')
  if (problems.length > 0) throw new ConfigError('sqlite', problems)

  if (database) return new SqliteBackend(database, table, [], undefined)
  const opened = openDatabase(file ?? 'sessions.sqlite')
  // WAL: readers and the one writer don't wait for each other. FULL: with it, each commit reaches the disk.
  const pragmas = ['PRAGMA journal_mode = WAL', `PRAGMA synchronous = ${synchronous}`]
  return new SqliteBackend(opened, table, pragmas, () => opened.close())
}

interface Row {
  value: Uint8Array | ArrayBuffer | null
  version: string
  deadline: number
}

type StatementName =
  'read' | 'exists' | 'create' | 'replace' | 'touch' | 'delete' | 'sweep' | 'firstExpired' | 'countExpired'
type Statements = Record<StatementName, SqliteStatement>

class SqliteBackend implements Backend, Sweepable {
  readonly maxBytes = MAX_VALUE_BYTES
  readonly #database: SqliteDatabase
  readonly #table: string
  readonly #pragmas: readonly string[]
  readonly #close: (() => unknown) | undefined
  #statements: Statements | undefined
  #created = 0

  constructor(database: SqliteDatabase, table: string, pragmas: readonly string[], close: (() => unknown) | undefined) {
    this.#database = database
    this.#table = table
    this.#pragmas = pragmas
    this.#close = close
  }

  async read(key: string, now: number): Promise<Entry | undefined> {
    const row = (await this.#whenFree(({ read }) => read.get(key, now))) as Row | undefined
    // Drivers differ: no row is undefined or null, a blob an ArrayBuffer or a Buffer of a shared pool, an empty one NULL.
    return row ? { value: new Uint8Array(row.value ?? []), version: row.version, deadline: row.deadline } : undefined
  }

  async create(key: string, value: Uint8Array, deadline: number, now: number): Promise<Entry | 'exists'> {
    const version = newVersion()
    if (!(await this.#changes(({ create }) => create.run(key, value, version, deadline, now)))) return 'exists'
    if (++this.#created % SWEEP_EVERY === 0) await this.#changes(({ sweep }) => sweep.run(now, SWEEP_EVERY * 4))
    return { value, version, deadline }
  }

  async replace(
    key: string,
    entry: Entry,
    value: Uint8Array,
    deadline: number,
    now: number,
  ): Promise<Entry | 'conflict' | 'gone'> {
    const version = newVersion()
    const expected = entry.version as string
    const done = await this.#changes(({ replace }) => replace.run(value, version, deadline, key, expected, now))
    return done ? { value, version, deadline } : this.#refusal(key, now)
  }

  async touch(key: string, entry: Entry, deadline: number, now: number): Promise<'touched' | 'conflict' | 'gone'> {
    const done = await this.#changes(({ touch }) => touch.run(deadline, key, entry.version as string, now))
    return done ? 'touched' : this.#refusal(key, now)
  }

  async delete(key: string): Promise<void> {
    await this.#changes((statements) => statements.delete.run(key))
  }

  async sweep({ now }: Expiry, limit: number): Promise<{ deleted: number; done: boolean }> {
    const deleted = await this.#changes((statements) => statements.sweep.run(now, limit))
    return { deleted, done: !(await this.#whenFree(({ firstExpired }) => firstExpired.get(now))) }
  }

  async countExpired({ now }: Expiry): Promise<number> {
    const row = await this.#whenFree((statements) => statements.countExpired.get(now))
    return (row as { expired: number }).expired
  }

  async close(): Promise<void> {
    // With libsql they work on, and keep the file open, until they are collected.
    this.#statements = undefined
    this.#close?.()
  }

  async #refusal(key: string, now: number): Promise<'conflict' | 'gone'> {
    return (await this.#whenFree(({ exists }) => exists.get(key, now))) ? 'conflict' : 'gone'
  }

  /** How many rows a statement has changed. */
  async #changes(run: (statements: Statements) => { readonly changes: number | bigint }): Promise<number> {
    const ran = await this.#whenFree((statements) => {
      this.#assertUsable()
      return run(statements)
    })
    return Number(ran.changes)
  }

  /** A transaction can only be the application's, on its database: rolled back, it would bring back who has logged out. */
  #assertUsable(): void {
    const { open } = this.#database
    // libsql ends the process if a closed database is asked for more.
    if (open === false) throw new Error('the database is not open')
    const { inTransaction, isTransaction } = this.#database
    if (inTransaction ?? isTransaction) throw new Error('a transaction of the application is open on this database')
  }

  /** Waits without blocking while another process writes. Each statement is a transaction of its own, so it can be repeated. */
  async #whenFree<T>(run: (statements: Statements) => T): Promise<T> {
    for (const start = performance.now(); ;) {
      try {
        return run((this.#statements ??= this.#setUp()))
      } catch (error) {
        if (!isBusy(error) || performance.now() - start > BUSY_MS) throw error
      }
      await sleep(1 + Math.random() * 20)
    }
  }

  #setUp(): Statements {
    this.#assertUsable()
    const texts = sqliteStatements(this.#table)
    for (const sql of [...this.#pragmas, ...texts.setUp]) this.#database.exec(sql)
    const prepare = (sql: string): SqliteStatement => this.#database.prepare(sql)
    return {
      read: prepare(texts.read),
      exists: prepare(texts.exists),
      create: prepare(texts.create),
      replace: prepare(texts.replace),
      touch: prepare(texts.touch),
      delete: prepare(texts.delete),
      sweep: prepare(texts.sweep),
      firstExpired: prepare(texts.firstExpired),
      countExpired: prepare(texts.countExpired),
    }
  }
}

function newVersion(): string {
  return randomBytes(12).toString('base64url')
}
