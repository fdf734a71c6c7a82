/** What a backend on SQLite says to it. Each statement is atomic by itself; `?` stand in the order of its arguments. */
export interface SqliteStatementTexts {
  /** Harmless where they were run before. */
  readonly setUp: readonly [table: string, index: string]
  /** key, now */
  readonly read: string
  /** key, now */
  readonly exists: string
  /** key, value, version, deadline, now. Changes no row if a live entry is there. */
  readonly create: string
  /** value, version, deadline, key, expected version, now */
  readonly replace: string
  /** deadline, key, expected version, now */
  readonly touch: string
  /** key */
  readonly delete: string
  /** now, how many at most */
  readonly sweep: string
  /** now */
  readonly firstExpired: string
  /** now. Gives `expired`. */
  readonly countExpired: string
}

export const TABLE_NAME: RegExp = /^[a-z_]\w{0,62}$/i

export function sqliteStatements(table: string): SqliteStatementTexts {
  return {
    setUp: [
      `CREATE TABLE IF NOT EXISTS ${table} (
        key TEXT PRIMARY KEY, value BLOB, version TEXT NOT NULL, deadline INTEGER NOT NULL
      ) WITHOUT ROWID`,
      `CREATE INDEX IF NOT EXISTS ${table}_deadline ON ${table} (deadline)`,
    ],
    read: `SELECT value, version, deadline FROM ${table} WHERE key = ? AND deadline > ?`,
    exists: `SELECT 1 FROM ${table} WHERE key = ? AND deadline > ?`,
    create: `INSERT INTO ${table} (key, value, version, deadline) VALUES (?, ?, ?, ?)
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, deadline = excluded.deadline
      WHERE ${table}.deadline <= ?`,
    replace: `UPDATE ${table} SET value = ?, version = ?, deadline = ? WHERE key = ? AND version = ? AND deadline > ?`,
    touch: `UPDATE ${table} SET deadline = ? WHERE key = ? AND version = ? AND deadline > ?`,
    delete: `DELETE FROM ${table} WHERE key = ?`,
    sweep: `DELETE FROM ${table} WHERE key IN
      (SELECT key FROM ${table} WHERE deadline <= ? ORDER BY deadline LIMIT ?)`,
    firstExpired: `SELECT 1 FROM ${table} WHERE deadline <= ? LIMIT 1`,
    countExpired: `SELECT count(*) AS expired FROM ${table} WHERE deadline <= ?`,
  }
}
