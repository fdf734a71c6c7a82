// What `npm test` runs, on a fresh clone too: prepares what the tests need, runs every check, and counts.
// Arguments are passed on to vitest: npm test -- test/cookie.test.ts
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const checks = [
  ['types', 'check:types'],
  ['lint', 'check:lint'],
  ['format', 'check:format'],
  ['build', 'build'],
  ['package', 'check:package'],
]

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const count = { passed: 0, failed: 0, skipped: 0 }

if (prepareDependencies() && prepareRedis()) {
  for (const [name, script] of checks) {
    heading(name)
    if (run('npm', ['run', '--silent', script])) count.passed++
    else count.failed++
  }
  heading('tests')
  countTests(process.argv.slice(2))
} else {
  count.failed++
}

const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : ''
console.log(`\n${count.passed} passed, ${count.failed} failed${skipped}`)
process.exitCode = count.failed > 0 ? 1 : 0

function prepareDependencies() {
  const installed = 'node_modules/.package-lock.json'
  const isCurrent = existsSync(installed) && statSync(installed).mtimeMs >= statSync('package-lock.json').mtimeMs
  if (isCurrent) return true
  heading('npm ci: node_modules is missing or older than package-lock.json')
  return run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'])
}

function prepareRedis() {
  if (hasRedis()) return true
  const canInstall = process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0
  if (canInstall) {
    heading('apt-get install redis-server: the tests start servers of their own and found none')
    withoutServices(() => run('apt-get', ['update']) && run('apt-get', ['install', '-y', 'redis-server']))
    if (hasRedis()) return true
  }
  heading('redis-server is missing')
  const command = process.platform === 'darwin' ? 'brew install redis' : 'sudo apt-get install -y redis-server'
  console.log(`The tests run against real Redis servers. Install redis-server and try again:\n\n  ${command}`)
  return false
}

function hasRedis() {
  return spawnSync('redis-server', ['--version']).status === 0
}

/** Debian starts a service as soon as it is installed, unless this file forbids it. Containers often have it already. */
function withoutServices(install) {
  const policy = '/usr/sbin/policy-rc.d'
  if (existsSync(policy)) return install()
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    return install()
  } finally {
    rmSync(policy)
  }
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

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    stdio: 'inherit',
    env: { ...process.env, ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }), DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (error) console.log(`${command} could not be run: ${error.message}`)
  return status === 0
}

function heading(text) {
  console.log(`\n== ${text}`)
}
