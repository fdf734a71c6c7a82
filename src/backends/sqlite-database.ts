import { createRequire } from 'node:module'
import { ConfigError, messageOf, SessionError } from '../errors.js'

/** What the SQLite backend uses of a database: what `node:sqlite`, `bun:sqlite`, `libsql`, `better-sqlite3` share. */
export interface SqliteDatabase {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatement
  close(): unknown
  /** Whether a transaction is open: as `bun:sqlite`, `libsql` and `better-sqlite3` tell it. */
  readonly inTransaction?: boolean
  /** As `node:sqlite` tells it, from Node 22.16 on. */
  readonly isTransaction?: boolean
  /** False once it was closed: as `libsql` and `better-sqlite3` tell it. `node:sqlite` has a method of this name. */
  readonly open?: unknown
}

export interface SqliteStatement {
  get(...parameters: (string | number | Uint8Array)[]): unknown
  run(...parameters: (string | number | Uint8Array)[]): { readonly changes: number | bigint }
}

type Open = new (file: string, options: { timeout: number }) => SqliteDatabase

/** Opens a file with what the runtime has, else with `libsql`: the one driver for Node 20 that comes without compiling. */
export function openDatabase(file: string): SqliteDatabase {
  const Database = builtIn() ?? installed()
  try {
    // 0: a synchronous wait for another process's lock would stop every request of this one.
    return new Database(file, { timeout: 0 })
  } catch (error) {
    throw new ConfigError('sqlite', [`file can't be opened: ${messageOf(error)}`])
  }
}

function builtIn(): Open | undefined {
  // The types are those of Node 20, which has none of them.
  const find = (name: string): { Database?: Open; DatabaseSync?: Open } | undefined => process.getBuiltinModule?.(name)
  return find('bun:sqlite')?.Database ?? find('node:sqlite')?.DatabaseSync
}

function installed(): Open {
  const require = createRequire(import.meta.url)
  try {
    return require('libsql') as Open
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    throw new SessionError(
      'ERR_CLIENT_MISSING',
      'sqlite() needs a driver on this runtime: npm install libsql, or use Node 22.13 or later, or pass your own { database }',
    )
  }
}

/** SQLITE_BUSY and SQLITE_LOCKED with all their extended codes: another connection is writing. */
const BUSY_CODES = new Set([5, 6])

export function isBusy(error: unknown): boolean {
  const { errcode, code } = error as { errcode?: unknown; code?: unknown }
  if (typeof errcode === 'number') return BUSY_CODES.has(errcode & 0xff)
  return typeof code === 'string' && /^SQLITE_(BUSY|LOCKED)/.test(code)
}
