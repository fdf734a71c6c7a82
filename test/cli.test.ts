import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import Database from 'libsql'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import type { Backend } from '../src/backend.js'
import { memory } from '../src/backends/memory.js'
import { redis } from '../src/backends/redis.js'
import { sqlite, type SqliteDatabase } from '../src/backends/sqlite.js'
import { createSessions } from '../src/sessions.js'
import { type CommandLine, commandLine } from './helpers/command-line.js'
import { emptyProject } from './helpers/empty-project.js'
import { freePort } from './helpers/free-port.js'
import { startRedis } from './helpers/redis-server.js'

let cli: CommandLine
beforeAll(async () => {
  cli = await commandLine()
}, 120_000)
afterAll(() => cli.remove())

const NOW = 1_800_000_000_000
const HOUR = 3_600_000
const VALUE = new TextEncoder().encode('value')

let names = 0
const newKey = (): string => String(names++).padEnd(43, 'k')

interface Store {
  readonly file: string
  /** A configuration file for it, whose clock stands at `NOW`. */
  readonly config: string
  readonly backend: Backend
  /** Another process's view of the file. */
  readonly database: SqliteDatabase
  readonly count: () => number
}

/** A SQLite file with so many entries that are over at `NOW`, one that is not, and a configuration for it. */
async function store({ expired = 0, options = '' } = {}): Promise<Store> {
  const name = `store${names++}`
  const file = join(cli.folder, `${name}.sqlite`)
  const config = `${name}.js`
  await cli.write(
    config,
    `import { createSessions } from 'vishnu'
     import { sqlite } from 'vishnu/backends/sqlite'
     export default createSessions({
       secret: 'a secret for tests, and for nothing else',
       backend: sqlite({ file: ${JSON.stringify(file)}, synchronous: 'normal' }),
       clock: () => ${NOW},
       ...{ ${options} },
     })`,
  )
  const backend = sqlite({ file, synchronous: 'normal' })
  await backend.create(newKey(), VALUE, NOW + 1, NOW - HOUR)
  const database = new (Database as unknown as new (file: string) => SqliteDatabase)(file)
  const insert = database.prepare('INSERT INTO vishnu_sessions (key, value, version, deadline) VALUES (?, ?, ?, ?)')
  database.exec('BEGIN')
  for (let made = 0; made < expired; made++) insert.run(newKey(), VALUE, 'version', NOW)
  database.exec('COMMIT')
  onTestFinished(async () => {
    await backend.close?.()
    database.close()
  })
  const select = database.prepare('SELECT count(*) AS count FROM vishnu_sessions')
  return { file, config, backend, database, count: () => (select.get() as { count: number }).count }
}

/** What a line such as `deleted=3 done=true` says. */
function fieldsOf(line: string): Record<string, string> {
  return Object.fromEntries(
    line
      .trim()
      .split(' ')
      .map((pair) => pair.split('=') as [string, string]),
  )
}

const visible = (text: string): string => text.replaceAll('\u001b', '<esc>')

describe('vishnu', () => {
  test('without a command shows the help, as wrong usage', async () => {
    const { code, stdout, stderr } = await cli.run([])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^Usage: vishnu/)
  })

  test('--help names every command', async () => {
    const { code, stdout, stderr } = await cli.run(['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const command of ['cleanup', 'inspect', 'secret']) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
  })

  test.each(['cleanup', 'inspect', 'secret'])('%s --help gives examples', async (command) => {
    const { code, stdout } = await cli.run([command, '--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`Examples:\n.*npx vishnu ${command}`))
  })

  test('--version prints the version of the package', async () => {
    expect(await cli.run(['--version'])).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' })
  })

  const wrong: [args: string[], message: RegExp][] = [
    [['purge'], /unknown command 'purge'/],
    [['redis://me:password@host'], /unknown command 'redis:\/\/\*\*\*@host'/],
    [['cleanup'], /required option '-c, --config <file>'/],
    [['cleanup', '--config', 'a.js', '--evry', '10m'], /unknown option '--evry' \(Did you mean --every\?\)/],
    [['cleanup', '--config', 'a.js', '--every', '10'], /'10' is invalid. Write a number and its unit/],
    [['cleanup', '--config', 'a.js', '--every', '0s'], /Write a number and its unit/],
    [['cleanup', '--config', 'a.js', '--every', '25d'], /longest wait is 24d/],
    [['cleanup', '--config', 'a.js', '--limit', '0'], /Write a whole number from 1/],
    [['cleanup', '--config', 'a.js', '--limit', '1e3'], /Write a whole number from 1/],
    [['cleanup', '--config', 'a.js', '--dormant-for', 'day'], /Write a number and its unit/],
    [['secret', 'please'], /too many arguments/],
    [['inspect', '\u001b]0;renamed\u0007'], /too many arguments/],
  ]
  test.each(wrong)('answers wrong usage with one line and code 2: %j', async (args, message) => {
    const { code, stdout, stderr } = await cli.run(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^vishnu: ERR_USAGE: [\x20-\x7e]+\n$/)
    expect(stderr).toMatch(message)
  })
})

describe('vishnu secret', () => {
  test('prints 32 random bytes that createSessions takes', async () => {
    const [first, second] = [await cli.run(['secret']), await cli.run(['secret'])]
    expect(first).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^[\w-]{43}\n$/) })
    expect(first.stdout).not.toBe(second.stdout)
  })
})

describe('vishnu cleanup', () => {
  test('removes what has expired, prints one line, and leaves the rest', async () => {
    const { config, count } = await store({ expired: 250 })
    const { code, stdout, stderr } = await cli.run(['cleanup', '--config', config])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^time=\d{4}-\d\d-\d\dT[\d:.]+Z deleted=250 done=true seconds=\d+\.\d{3}\n$/)
    expect(count()).toBe(1)
  })

  test('has nothing to do a second time', async () => {
    const { config } = await store()
    expect(fieldsOf((await cli.run(['cleanup', '-c', config])).stdout)).toMatchObject({ deleted: '0', done: 'true' })
  })

  test('removes no more than --limit, and says that more are left', async () => {
    const { config, count } = await store({ expired: 250 })
    const { code, stdout } = await cli.run(['cleanup', '--config', config, '--limit', '120', '--dormant-for', '90d'])
    expect(code).toBe(0)
    expect(fieldsOf(stdout)).toMatchObject({ deleted: '120', done: 'false' })
    expect(count()).toBe(131)
  })

  test.each(['Pacific/Kiritimati', 'America/Los_Angeles'])(
    'goes by the millisecond in the time zone %s',
    async (TZ) => {
      const { config, backend, count } = await store()
      await backend.create(newKey(), VALUE, NOW, NOW - 1)
      const { stdout } = await cli.run(['cleanup', '--config', config], { env: { TZ } })
      expect(fieldsOf(stdout)).toMatchObject({ deleted: '1', done: 'true' })
      expect(count()).toBe(1)
    },
  )

  test('several at once, beside a server that renews, remove each once, and nothing that was renewed', async () => {
    const { config, database, count, file } = await store({ expired: 1500 })
    const keys = (
      database.prepare(`SELECT group_concat(key) AS keys FROM vishnu_sessions WHERE deadline = ${NOW}`).get() as {
        keys: string
      }
    ).keys
    // Its clock is a millisecond behind: to it these sessions are live still. It begins where sweeping ends.
    await cli.write(
      'renewing.js',
      `import { createSessions } from 'vishnu'
       import { sqlite } from 'vishnu/backends/sqlite'
       const backend = sqlite({ file: ${JSON.stringify(file)}, synchronous: 'normal' })
       const sessions = createSessions({ secret: 'a secret for tests, and for nothing else', backend, clock: () => ${NOW - 1} })
       const visit = sessions.open(undefined)
       const renewed = []
       for (const key of ${JSON.stringify(keys)}.split(',').sort().reverse().slice(0, 700)) {
         const entry = await backend.read(key, ${NOW - 1})
         if (entry && (await backend.touch(key, entry, ${NOW + HOUR}, ${NOW - 1})) === 'touched') renewed.push(key)
         // With the two seconds that a visitor waits at most.
         await (await visit.session()).update('count', (count = 0) => count + 1)
       }
       console.log(renewed.join(' '))
       await sessions.close()`,
    )
    const before = count()
    const writing = cli.script('renewing.js')
    const sweeps = await Promise.all(
      ['300', '200', '100'].map((limit) => cli.run(['cleanup', '--config', config, '--limit', limit])),
    )
    const renewing = await writing
    expect(renewing).toMatchObject({ code: 0, stderr: '' })
    const deleted = sweeps.map(({ stdout }) => Number(fieldsOf(stdout)['deleted']))
    expect(deleted).toEqual([300, 200, 100])
    expect(count()).toBe(before - 600 + 1)

    const renewed = renewing.stdout.trim().split(' ')
    const rest = fieldsOf((await cli.run(['cleanup', '--config', config])).stdout)
    expect(rest).toMatchObject({ done: 'true', deleted: String(1500 - 600 - renewed.length) })
    const select = database.prepare('SELECT 1 FROM vishnu_sessions WHERE key = ? AND deadline > ?')
    expect(renewed.filter((key) => !select.get(key, NOW))).toEqual([])
  })

  test('fails with one line and code 1 if the backend is kept busy', async () => {
    const { config, database } = await store({ expired: 3, options: 'backendTimeout: 50' })
    database.exec('BEGIN IMMEDIATE')
    const { code, stdout, stderr } = await cli.run(['cleanup', '--config', config])
    database.exec('ROLLBACK')
    expect(code).toBe(1)
    expect(fieldsOf(stdout)).toMatchObject({ deleted: '0', done: 'false' })
    expect(stderr).toBe('vishnu: ERR_BACKEND: The backend did not finish within 50 ms\n')
  })

  test.each(['SIGTERM', 'SIGINT'] as const)('--every goes on until %s, through an outage', async (signal) => {
    const { config, database, count } = await store({ expired: 3, options: 'backendTimeout: 50' })
    database.exec('BEGIN IMMEDIATE')
    const running = cli.start(['cleanup', '--config', config, '--every', '1s'])
    expect(fieldsOf(await running.printed('stdout', /.*deleted.*\n/))).toMatchObject({ deleted: '0', done: 'false' })
    await running.printed('stderr', /vishnu: ERR_BACKEND: /)
    database.exec('ROLLBACK')
    await running.printed('stdout', /done=true/)
    await running.printed('stdout', /deleted=0 done=true/)
    running.process.kill(signal)
    expect(await running.ended).toMatchObject({ code: 0 })
    expect(count()).toBe(1)
  })

  test('--every does not keep a signal waiting until the next round', async () => {
    const { config } = await store()
    const running = cli.start(['cleanup', '--config', config, '--every', '1d'])
    await running.printed('stdout', /done=true.*\n/)
    running.process.kill('SIGTERM')
    expect(await running.ended).toMatchObject({ code: 0, stderr: '' })
  })

  test('keeps out of it where the server removes what has expired by itself', async () => {
    await cli.write(
      'redis.js',
      `import { createSessions } from 'vishnu'
       import { redis } from 'vishnu/backends/redis'
       export const sessions = createSessions({ secret: 'a secret for tests, and for nothing else', backend: redis({ port: 1 }) })`,
    )
    const { code, stdout, stderr } = await cli.run(['cleanup', '--config', 'redis.js'])
    expect({ code, stderr, ...fieldsOf(stdout) }).toMatchObject({ code: 0, stderr: '', deleted: '0', done: 'true' })
  })

  test('ends although the configuration file keeps a timer running', async () => {
    await cli.write(
      'timer.js',
      `import config from './${(await store()).config}'\nsetInterval(() => {}, 1000)\nexport default config`,
    )
    expect(await cli.run(['cleanup', '--config', 'timer.js'])).toMatchObject({ code: 0 })
  })

  test('takes a configuration in CommonJS, also one that was compiled from a module', async () => {
    const { config } = await store()
    await cli.write('plain.cjs', `module.exports = require('./${config}').default`)
    await cli.write('compiled.cjs', `exports.__esModule = true\nexports.default = require('./${config}').default`)
    for (const name of ['plain.cjs', 'compiled.cjs']) {
      expect(await cli.run(['cleanup', '--config', name])).toMatchObject({ code: 0, stderr: '' })
    }
  })

  const broken: [what: string, name: string, content: string | undefined, message: RegExp][] = [
    ['is missing', 'missing.js', undefined, /missing\.js: there is no such file: --config names/],
    ['is no JavaScript', 'syntax.js', 'export default {', /syntax\.js: it can't be loaded: Unexpected end of input/],
    [
      'throws',
      'throws.js',
      "throw new Error('no\\nluck \\u001b[31m')",
      /throws\.js: it can't be loaded: no luck \\x1b\[31m/,
    ],
    [
      'throws a URL with a password',
      'url.js',
      "throw new Error('nobody at redis://:password@host:6379/0')",
      /url\.js: it can't be loaded: nobody at redis:\/\/\*\*\*@host:6379\/0/,
    ],
    [
      'imports what is not installed',
      'import.js',
      "import 'not-installed'",
      /import\.js: it can't be loaded: Cannot find package/,
    ],
    [
      'has wrong options',
      'options.js',
      "import { createSessions } from 'vishnu'\nexport default createSessions({})",
      /options\.js: it can't be loaded: createSessions: .*secret is missing/,
    ],
    [
      'exports something else',
      'other.js',
      'export default { deleteExpiredSessions: () => true }',
      /other\.js: it exports no sessions/,
    ],
    ['exports nothing', 'nothing.js', '', /nothing\.js: it exports no sessions/],
    ['is a folder', 'node_modules', undefined, /node_modules: it can't be loaded/],
  ]
  test.each(broken)('says in one line, with code 2, that its configuration %s', async (_, name, content, message) => {
    if (content !== undefined) await cli.write(name, content)
    const { code, stdout, stderr } = await cli.run(['cleanup', '--config', name])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^vishnu: ERR_CONFIG: [\x20-\x7e]+\n$/)
    expect(stderr).toMatch(message)
  })

  test('takes TypeScript where Node does, and says what to do where it does not', async () => {
    const { config } = await store()
    await cli.write('typed.ts', `import sessions from './${config}'\nexport default sessions satisfies object`)
    const isTaken = 'typescript' in process.features
    const [expected, message] = isTaken ? [0, /^$/] : [2, /ERR_CONFIG: .* pass the compiled \.js, or use Node 22\.18/]
    const { code, stderr } = await cli.run(['cleanup', '--config', 'typed.ts'])
    expect(code).toBe(expected)
    expect(stderr).toMatch(message)
  })
})

describe('vishnu inspect', () => {
  /** A session of alice's, and its cookie, in a backend that the configuration names. */
  async function visitor(backend: Backend): Promise<{ cookie: string; publicId: string }> {
    const options = { autoSave: true, cookieName: 'sid', clock: () => NOW }
    const sessions = createSessions({ secret: 'a secret for tests, and for nothing else', backend, ...options })
    const visit = sessions.open(undefined)
    const session = await visit.session()
    session.set('user', 'alice in wonderland')
    const { append } = await sessions.commit(visit, () => undefined)
    return { cookie: append[0]?.[1] ?? '', publicId: session.publicId }
  }

  test('opens a cookie and explains the session behind it, whose values it shows only with --values', async () => {
    const { config, backend } = await store({ options: "cookieName: 'sid'" })
    const { cookie, publicId } = await visitor(backend)
    const input = `set-cookie: ${cookie}\n`
    const { code, stdout, stderr } = await cli.run(['inspect', '--config', config], { input })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^The cookie sid, format 1: signed\n/)
    expect(stdout).toContain('  seal        opens, with the current key\n')
    expect(stdout).toContain('  expires     when the browser closes\n')
    expect(stdout).toMatch(new RegExp(`^ +public id +${publicId}$`, 'm'))
    expect(stdout).toMatch(/^ +"user" +21 bytes$/m)
    expect(stdout).not.toContain('alice')
    const sealed = /sid=1([\w-]+)/.exec(cookie)?.[1] ?? ''
    expect(stdout).not.toContain(sealed.slice(0, 24))

    const shown = await cli.run(['inspect', '--config', config, '--values'], { input })
    expect(shown.stdout).toContain("'alice in wonderland'")
  })

  test('answers 1 for a cookie that does not open, and for input that is none', async () => {
    const { config, backend } = await store({ options: "cookieName: 'sid'" })
    const { cookie } = await visitor(backend)
    const other = await store({ options: "cookieName: 'sid', secret: 'another secret that is also long enough'" })
    const refused = await cli.run(['inspect', '--config', other.config], { input: cookie })
    expect(refused).toMatchObject({ code: 1, stderr: '', stdout: expect.stringContaining('does not open') })
    expect(await cli.run(['inspect', '--config', config], { input: 'theme=dark' })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'vishnu: ERR_INPUT: standard input holds neither a cookie named sid nor a stored record\n',
    })
  })

  test('answers 1 with one line if the backend is down', async () => {
    await cli.write(
      'down.js',
      `import { createSessions } from 'vishnu'
       import { redis } from 'vishnu/backends/redis'
       export default createSessions({
         secret: 'a secret for tests, and for nothing else', cookieName: 'sid',
         backend: redis({ host: '127.0.0.1', port: ${await freePort()} }), onEvent: () => {},
       })`,
    )
    const { cookie } = await visitor(memory())
    const { code, stdout, stderr } = await cli.run(['inspect', '--config', 'down.js'], { input: cookie })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^vishnu: ERR_BACKEND: [\x20-\x7e]+\n$/)
  })

  test.each(['--raw', '--no-raw'])('explains a record as redis-cli %s prints it', async (mode) => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const backend = redis({ host: '127.0.0.1', port: server.port })
    onTestFinished(() => backend.close?.())
    const { publicId } = await visitor(backend)
    const [key = ''] = (await server.command('KEYS', 'vishnu:*')).split('\n')
    const input = execFileSync('redis-cli', ['-p', String(server.port), mode, 'GET', key])
    const { code, stdout } = await cli.run(['inspect'], { input })
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^ +public id +${publicId}$`, 'm'))
    expect(stdout).toContain(`  ends          ${new Date(NOW + 86_400_000).toISOString()}, if it is not used before\n`)
    expect(stdout).not.toContain(key.slice('vishnu:'.length))
  })

  test('explains a record as it lies in SQLite', async () => {
    const { backend, database } = await store()
    const { publicId } = await visitor(backend)
    const row = database.prepare("SELECT value FROM vishnu_sessions WHERE value LIKE 'vishnu1 %'").get()
    const { value } = row as { value: Uint8Array }
    const { code, stdout } = await cli.run(['inspect'], { input: value })
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`^ +public id +${publicId}$`, 'm'))
  })
})

describe('the package', () => {
  test('brings `npx vishnu` to the project that installs it', { timeout: 120_000 }, async () => {
    const project = await emptyProject()
    onTestFinished(() => project.remove())
    expect((await project.run('npx', '--no-install', 'vishnu', '--version')).stdout).toBe(`${manifest.version}\n`)
  })
})

const hasScript = process.platform === 'linux'

describe.skipIf(!hasScript)('on a terminal', () => {
  test('cleanup draws a progress bar over and over, and ends with a sentence', async () => {
    const { config } = await store({ expired: 1250 })
    const { code, stdout } = await cli.startOnTerminal(['cleanup', '--config', config]).ended
    expect(code).toBe(0)
    const drawn = visible(stdout).split('\r<esc>[K')
    expect(drawn[1]).toBe('[##----------------------------] 8% 100 of 1,250')
    expect(drawn.at(-2)).toBe('[##############################] 100% 1,250 of 1,250')
    expect(drawn.at(-1)).toMatch(/^<esc>\[1m1,250<esc>\[22m expired sessions removed in \d+\.\d s\.\r\n$/)
  })

  test('the bar counts to --limit, and the sentence says that more are left', async () => {
    const { config } = await store({ expired: 300 })
    const args = ['cleanup', '--config', config, '--limit', '200']
    const { stdout } = await cli.startOnTerminal(args, { env: { NO_COLOR: '1' } }).ended
    expect(stdout).toContain('] 100% 200 of 200')
    expect(visible(stdout)).toMatch(/<esc>\[K200 expired sessions removed in \d+\.\d s, and more are left\.\r\n$/)
  })

  test('Ctrl+C ends a clean-up between two batches, with 128 and the number of the signal', async () => {
    const { config, count } = await store({ expired: 20_000 })
    const running = cli.startOnTerminal(['cleanup', '--config', config])
    await running.printed('stdout', /of 20,000/)
    running.process.stdin.write('\u0003')
    const { code, stdout } = await running.ended
    expect(code).toBe(130)
    expect(stdout).toMatch(/expired sessions removed in \d+\.\d s, and more are left\.\r\n$/)
    expect(count()).toBeGreaterThan(1)
    expect((count() - 1) % 100).toBe(0)
  })

  test('help has bold headings, and none with NO_COLOR or a dumb terminal', async () => {
    expect((await cli.startOnTerminal(['--help']).ended).stdout).toContain('\u001b[1mUsage:')
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      expect((await cli.startOnTerminal(['--help'], { env }).ended).stdout).not.toContain('\u001b')
    }
  })
})
