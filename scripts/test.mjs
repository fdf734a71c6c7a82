// What `npm test` runs, on a fresh clone too: prepares what the tests need, runs every check, and counts.
// Arguments are passed on to vitest, and the browser and `npm run check:quality` are left out: npm test -- test/cookie.test.ts
// `npm run test:browser` runs the tests in the browser only; what follows --browser is passed on to them.
// `npm run test:histories` plays histories of 100,000 operations on each backend; what follows --histories is how many.
// `npm run fuzz` sends ten million damaged cookies and a million damaged records; what follows is how many cookies.
// `npm run test:fullstack` runs those of the full-stack frameworks; what follows --fullstack is passed on: `-- astro`.
// `npm run test:google` runs those against Google's emulators; what follows --google is passed on.
// `npm run test:runtimes` runs those on Node, Bun, Deno and workerd, on older Nodes too; what follows --runtimes is passed on.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  heading,
  prepareBuild,
  prepareChromium,
  prepareDependencies,
  prepareMemcached,
  prepareNginx,
  preparePython,
  prepareRedis,
  run,
} from './prepare.mjs'

const checks = [
  ['types', 'check:types'],
  ['lint', 'check:lint'],
  ['format', 'check:format'],
  ['build', 'build'],
  ['package', 'check:package'],
]

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const count = { passed: 0, failed: 0, skipped: 0 }
const [first, ...others] = process.argv.slice(2)

if (first === '--browser') {
  if (prepareDependencies() && prepareBrowser() && prepareBuild()) countFolder('browser', others)
  else count.failed++
} else if (first === '--fullstack') {
  if (prepareDependencies() && prepareBrowser() && prepareRedis() && prepareFullstack())
    countFolder('fullstack', others)
  else count.failed++
} else if (first === '--google') {
  if (prepareDependencies() && prepareGoogle()) countFolder('google', others)
  else count.failed++
} else if (first === '--histories') {
  process.env.HISTORY_OPERATIONS = others[0] ?? '100000'
  if (prepareDependencies() && prepareRedis() && prepareMemcached()) countTests(['test/histories'])
  else count.failed++
} else if (first === '--fuzz') {
  process.env.FUZZ_COOKIES = others[0] ?? '10000000'
  if (prepareDependencies()) countTests(['test/fuzz'])
  else count.failed++
} else if (first === '--runtimes') {
  if (prepareDependencies() && prepareRedis() && prepareRuntimes()) countFolder('runtimes', others)
  else count.failed++
} else {
  const args = first === undefined ? [] : [first, ...others]
  const isComplete = args.length === 0
  preparePython()
  if (
    prepareDependencies() &&
    prepareRedis() &&
    prepareMemcached() &&
    prepareNginx() &&
    (!isComplete || prepareTheRest())
  ) {
    countChecks()
    if (isComplete) countQuality()
    heading('tests')
    countTests(args)
    if (isComplete) {
      countFolder('browser')
      countFolder('frameworks')
      countFolder('fullstack')
      countFolder('google')
      process.env.RUNTIMES = 'newest'
      countFolder('runtimes')
    }
  } else {
    count.failed++
  }
}

const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : ''
console.log(`\n${count.passed} passed, ${count.failed} failed${skipped}`)
process.exitCode = count.failed > 0 ? 1 : 0

function prepareTheRest() {
  return prepareBrowser() && prepareFrameworks() && prepareFullstack() && prepareGoogle() && prepareRuntimes()
}

function prepareBrowser() {
  return prepareChromium() && prepareDependencies('test/browser')
}

function prepareFrameworks() {
  return prepareDependencies('test/frameworks') && prepareDependencies('test/frameworks/nest-11')
}

/** Each framework has packages of its own. */
function prepareFullstack() {
  const folders = readdirSync('test/fullstack').map((name) => `test/fullstack/${name}`)
  return folders.filter((folder) => existsSync(`${folder}/package.json`)).every((folder) => prepareDependencies(folder))
}

function prepareGoogle() {
  return prepareDependencies('test/google')
}

function prepareRuntimes() {
  return prepareDependencies('test/runtimes')
}

function countChecks() {
  for (const [name, script] of checks) {
    heading(name)
    if (run('npm', ['run', '--silent', script])) count.passed++
    else count.failed++
  }
}

/** One check a line. */
function countQuality() {
  heading('quality')
  const options = { stdio: ['inherit', 'pipe', 'inherit'], encoding: 'utf8' }
  const { stdout, status } = spawnSync('npm', ['run', '--silent', 'check:quality'], options)
  process.stdout.write(stdout)
  const withVerdict = (verdict) => stdout.split('\n').filter((line) => line.startsWith(`${verdict} `)).length
  const crashed = status === 0 ? 0 : 1
  count.passed += withVerdict('passed')
  count.failed += withVerdict('FAILED') || crashed
}

/** The tests of a folder that has packages of its own. */
function countFolder(name, args = []) {
  heading(name)
  countTests(['--config', `test/${name}/vitest.config.mjs`, ...args])
}

/** vitest's exit code counts too: it fails for errors outside of any test, which its report does not list. */
function countTests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'vishnu-test-'))
  const report = join(folder, 'report.json')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const succeeded = run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...args])
  const files = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')).testResults : []
  rmSync(folder, { recursive: true })

  const tests = files.flatMap((file) => file.assertionResults)
  const withStatus = (status) => tests.filter((test) => test.status === status).length
  const passed = withStatus('passed')
  const failed = withStatus('failed')
  const brokenFiles = files.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length
  const crashed = !succeeded || tests.length === 0 ? 1 : 0

  count.passed += passed
  count.failed += failed + brokenFiles || crashed
  count.skipped += tests.length - passed - failed
}
