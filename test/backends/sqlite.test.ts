import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setImmediate } from 'node:timers/promises'
import Database from 'libsql'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Entry } from '../../src/backend.js'
import { sqlite, type SqliteDatabase } from '../../src/backends/sqlite.js'
import type { ConfigError } from '../../src/errors.js'
import { createSessions } from '../../src/index.js'
import { nodeBinary } from '../helpers/empty-project.js'
import { type IsolatedPackage, isolatePackage } from '../helpers/isolated-package.js'
import { lawsOf } from '../helpers/laws.js'

const dir = mkdtempSync(join(tmpdir(), 'vishnu-sqlite-'))
afterAll(() => rmSync(dir, { recursive: true }))

let files = 0
const newFile = (): string => join(dir, `${files++}.sqlite`)
const newKey = (): string => String(files++).padEnd(43, 'k')
const [now, deadline] = [1_800_000_000_000, 1_800_000_060_000]
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** libsql's own types leave everything open. */
function open(file: string): SqliteDatabase {
  return new (Database as unknown as new (file: string) => SqliteDatabase)(file)
}

function journalMode(database: SqliteDatabase): string {
  return (database.prepare('PRAGMA journal_mode').get() as { journal_mode: string }).journal_mode
}

describe('SQLite in a file', () => {
  const file = newFile()
  test.each(lawsOf(() => sqlite({ file })))('%s', async (_, check) => expect(await check()).toBeUndefined())
})

describe("the application's own database", () => {
  const database = open(newFile())
  afterAll(() => database.close())
  test.each(lawsOf(() => sqlite({ database, table: 'my_sessions' })))('%s', async (_, check) => {
    expect(await check()).toBeUndefined()
  })

  test.each(['ROLLBACK', 'COMMIT'])('is not written in a transaction of the application, ended by %s', async (end) => {
    const backend = sqlite({ database })
    const sessions = createSessions({
      secret: 'a secret for tests, and for nothing else',
      backend,
      onEvent: () => undefined,
    })
    const visit = sessions.open(undefined)
    const session = await visit.session()
    await session.update('user', () => 'ada')
    const { append } = await sessions.commit(visit, () => undefined)
    const [cookie] = append.map(([, line]) => line.replace(/;.*/, ''))
    const user = async (): Promise<unknown> => (await sessions.open(cookie).session()).get('user')

    database.exec('BEGIN')
    expect(await user()).toBe('ada')
    const loggedOut = session.terminate()
    await setImmediate()
    database.exec(end)
    await loggedOut
    expect(await user()).toBeUndefined()
  })

  test('says so, if its transaction takes too long', async () => {
    const sessions = createSessions({
      secret: 'a secret for tests, and for nothing else',
      backend: sqlite({ database }),
      backendTimeout: 50,
      onEvent: () => undefined,
    })
    const session = await sessions.open(undefined).session()
    database.exec('BEGIN')
    await expect(session.update('user', () => 'ada')).rejects.toThrow('a transaction of the application is open')
    database.exec('ROLLBACK')
  })

  test('stays open, and keeps the settings that it has', async () => {
    const backend = sqlite({ database })
    await backend.read(newKey(), now)
    await backend.close?.()
    expect(journalMode(database)).toBe('delete')
  })
})

describe('wrong options', () => {
  const cases: [options: object, problem: RegExp][] = [
    [{ file: 5 }, /file must be a path/],
    [{ file: '' }, /file must be a path/],
    [{ table: 'a; DROP TABLE users' }, /table must be/],
    [{ synchronous: 'off' }, /synchronous must be full or normal/],
    [{ path: 'sessions.sqlite' }, /path is not an option$/],
    [{ Table: 'a' }, /Table is not an option: did you mean table\?/],
    [{ file: 'a', database: open(':memory:') }, /leave out file/],
    [{ file: join(dir, 'no', 'such', 'folder', 'x.sqlite') }, /file can't be opened/],
  ]
  test.each(cases)('%# are told when the backend is made', (options, problem) => {
    let error: unknown
    try {
      sqlite(options)
    } catch (thrown) {
      error = thrown
    }
    expect((error as ConfigError).problems.join()).toMatch(problem)
    expect(error).toMatchObject({ code: 'ERR_CONFIG' })
  })
})

describe('a file', () => {
  test('keeps its sessions over a restart', async () => {
    const file = newFile()
    const key = newKey()
    const before = sqlite({ file })
    await before.create(key, bytes('kept'), deadline, now)
    await before.close?.()
    const after = sqlite({ file })
    expect(await after.read(key, now)).toMatchObject({ value: bytes('kept'), deadline })
    await after.close?.()
  })

  test.each([
    [undefined, 2],
    ['full', 2],
    ['normal', 1],
  ] as const)('is in WAL mode, with synchronous %s at the level %i of SQLite', async (synchronous, level) => {
    // It holds for a connection, so it is the backend's own that has to tell.
    const builtIn: { DatabaseSync?: typeof Database } | undefined = process.getBuiltinModule?.('node:sqlite')
    const exec = vi.spyOn((builtIn?.DatabaseSync ?? Database).prototype, 'exec')
    onTestFinished(() => exec.mockRestore())
    const backend = sqlite({ file: newFile(), ...(synchronous && { synchronous }) })
    onTestFinished(() => backend.close?.())
    await backend.create(newKey(), bytes('x'), deadline, now)
    const connection = exec.mock.contexts[0] as SqliteDatabase
    expect(journalMode(connection)).toBe('wal')
    expect(connection.prepare('PRAGMA synchronous').get()).toMatchObject({ synchronous: level })
  })

  test('is out of reach when the backend is closed', async () => {
    const backend = sqlite({ file: newFile() })
    const key = newKey()
    const entry = (await backend.create(key, bytes('x'), deadline, now)) as Entry
    await backend.close?.()
    await expect(backend.read(key, now)).rejects.toThrow('not open')
    await expect(backend.replace(key, entry, bytes('y'), deadline, now)).rejects.toThrow('not open')
  })

  test('that the application has closed is out of reach too', async () => {
    const database = open(newFile())
    const unused = sqlite({ database })
    const used = sqlite({ database })
    await used.read(newKey(), now)
    database.close()
    for (const backend of [unused, used]) {
      await expect(backend.create(newKey(), bytes('x'), deadline, now)).rejects.toThrow('not open')
    }
  })

  test('that another connection is writing is waited for, while other work goes on', async () => {
    const file = newFile()
    const backend = sqlite({ file })
    onTestFinished(() => backend.close?.())
    await backend.read(newKey(), now)
    const other = open(file)
    other.exec('BEGIN IMMEDIATE')
    let isStored = false
    const stored = backend.create(newKey(), bytes('late'), deadline, now).then((entry) => {
      isStored = true
      return entry
    })
    // Reading goes on beside a writer, and the event loop turns: this very loop could not run otherwise.
    for (let turn = 0; turn < 20; turn++) {
      await backend.read(newKey(), now)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(isStored).toBe(false)
    other.exec('COMMIT')
    other.close()
    expect(await stored).toMatchObject({ deadline })
  })

  test('does not grow with the dead', async () => {
    const file = newFile()
    const backend = sqlite({ file, synchronous: 'normal' })
    onTestFinished(() => backend.close?.())
    for (let round = 0; round < 1000; round++) {
      await backend.create(newKey(), bytes('x'), now + round + 1, now + round)
    }
    const other = open(file)
    const { count } = other.prepare('SELECT count(*) AS count FROM vishnu_sessions').get() as { count: number }
    other.close()
    expect(count).toBeLessThan(200)
  })
})

describe('several processes on one file', () => {
  let built: IsolatedPackage
  beforeAll(async () => {
    built = await isolatePackage()
  })
  afterAll(() => built.remove())

  const visit = (file: string, cookie: string): string => `
    import { writeSync } from 'node:fs'
    import { createSessions } from 'vishnu'
    import { sqlite } from 'vishnu/backends/sqlite'
    const sessions = createSessions({
      secret: 'a secret for tests, and for nothing else', backend: sqlite({ file: ${JSON.stringify(file)} }), autoSave: true,
      // Four that write to one session wait for each other's disk: on a busy machine for longer than visitors would.
      backendTimeout: 30_000,
    })
    const cookie = ${JSON.stringify(cookie)}
    const update = async () => {
      const visit = sessions.open(cookie || undefined)
      const count = await (await visit.session()).update('count', (before = 0) => before + 1)
      const { append } = await sessions.commit(visit, () => undefined)
      return { count, cookie: append[0]?.[1].split(';')[0] }
    }
  `

  test('lose no update of four that count at once', async () => {
    const file = newFile()
    const cookie = (await built.run(`${visit(file, '')} console.log((await update()).cookie)`, ['libsql'])).trim()
    const counting = `${visit(file, cookie)} for (let i = 0; i < 250; i++) await update()`
    await Promise.all(Array.from({ length: 4 }, () => built.run(counting, ['libsql'])))
    expect(await built.run(`${visit(file, cookie)} console.log((await update()).count)`, ['libsql'])).toBe('1002\n')
  })

  test('keep what was acknowledged when one of them is killed with -9', async () => {
    const file = newFile()
    const cookie = (await built.run(`${visit(file, '')} console.log((await update()).cookie)`, ['libsql'])).trim()
    // Synchronous writes to the pipe: what the killed process has said is what it has acknowledged.
    const script = `${visit(file, cookie)} for (;;) writeSync(1, (await update()).count + '\\n')`
    let acknowledged = 1
    for (let round = 1; round <= 5; round++) {
      const child = spawn(process.execPath, ['main.mjs'], {
        cwd: await built.place(script, ['libsql']),
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const exited = once(child, 'exit')
      const enough = acknowledged + 20 * round
      for await (const line of createInterface(child.stdout)) {
        acknowledged = Number(line)
        if (acknowledged >= enough) child.kill('SIGKILL')
      }
      await exited
    }
    const count = Number(await built.run(`${visit(file, cookie)} console.log((await update()).count)`, ['libsql']))
    // The one that was under way at each kill may have been stored as well.
    expect(count).toBeGreaterThan(acknowledged)
    expect(count).toBeLessThanOrEqual(acknowledged + 1 + 5)
  })

  test.each([22, 24])("use Node %i's own driver, and need no package", { timeout: 120_000 }, async (major) => {
    const script = `
      import { backendLaws } from 'vishnu/testing'
      import { sqlite } from 'vishnu/backends/sqlite'
      const broken = []
      for (const { name, check } of backendLaws(() => sqlite({ file: ${JSON.stringify(newFile())} }))) {
        await check().catch((error) => broken.push(name + ': ' + error.message))
      }
      console.log(JSON.stringify(broken))`
    expect(await built.run(script, [], await nodeBinary(major))).toBe('[]\n')
  })

  test.each([22, 24])("on Node %i's own driver wait for each other", { timeout: 120_000 }, async (major) => {
    const script = `
      import { DatabaseSync } from 'node:sqlite'
      import { sqlite } from 'vishnu/backends/sqlite'
      const file = ${JSON.stringify(newFile())}
      const backend = sqlite({ file })
      await backend.read('key', ${now})
      const other = new DatabaseSync(file)
      other.exec('BEGIN IMMEDIATE')
      // Meets the lock before it returns.
      const stored = backend.create('key', new Uint8Array(1), ${deadline}, ${now})
      other.exec('COMMIT')
      await stored
      console.log((await backend.read('key', ${now})).deadline)`
    expect(await built.run(script, [], await nodeBinary(major))).toBe(`${deadline}\n`)
  })

  test('without a driver: ERR_CLIENT_MISSING says what to install', async () => {
    const script = `
      import { sqlite } from 'vishnu/backends/sqlite'
      try { sqlite() } catch ({ code, message }) { console.log(code, message) }`
    // Only a Node that has no driver of its own can lack one.
    const printed = await built.run(script, [], await nodeBinary(20))
    expect(printed).toMatch(/^ERR_CLIENT_MISSING .*npm install libsql/)
  })
})
