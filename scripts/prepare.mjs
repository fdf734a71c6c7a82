// Makes a fresh clone ready to be started and tested. Each step does nothing if there is nothing to do, says what it does,
// and returns whether it succeeded.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export function heading(text) {
  console.log(`\n== ${text}`)
}

export function run(command, args, cwd = '.') {
  const { status, error } = spawnSync(command, args, {
    cwd,
    stdio: 'inherit',
    env: { ...process.env, ...(process.stdout.isTTY ? {} : { NO_COLOR: '1' }), DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (error) console.log(`${command} could not be run: ${error.message}`)
  return status === 0
}

export function prepareDependencies(folder = '.') {
  const installed = join(folder, 'node_modules/.package-lock.json')
  const lock = join(folder, 'package-lock.json')
  if (existsSync(installed) && changedAt(installed) >= changedAt(lock)) return true
  heading(`npm ci: ${join(folder, 'node_modules')} is missing or older than ${lock}`)
  return run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'], folder)
}

export function prepareBuild() {
  const sources = readdirSync('src', { recursive: true }).map((name) => join('src', name))
  const newest = Math.max(...[...sources, 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.mjs'].map(changedAt))
  if (existsSync('dist/index.js') && changedAt('dist/index.js') >= newest) return true
  heading('npm run build: dist is missing or older than src')
  return run('npm', ['run', '--silent', 'build'])
}

export function prepareRedis() {
  return prepareProgram({
    program: process.env.REDIS_SERVER ?? 'redis-server',
    packageName: 'redis-server',
    reason: 'tests and benchmarks start servers of their own and found none',
    brew: 'brew install redis',
  })
}

export function prepareMemcached() {
  return prepareProgram({
    program: 'memcached',
    packageName: 'memcached',
    reason: 'tests start servers of their own and found none',
    brew: 'brew install memcached',
  })
}

export function prepareNginx() {
  return prepareProgram({
    program: 'nginx',
    packageName: 'nginx-light',
    // It knows no --version.
    versionFlag: '-v',
    reason: 'tests put a real shared cache before the sessions and found none',
    brew: 'brew install nginx',
  })
}

/** A few tests compare with CPython. Without it they are skipped, which nobody has to mind. */
export function preparePython() {
  return prepareProgram({
    program: 'python3',
    packageName: 'python3',
    reason: 'some tests compare with CPython, and are skipped without it',
    brew: 'brew install python',
  })
}

/** The environment may name another browser of its kind. */
export const chromium = process.env.CHROMIUM ?? 'chromium'

export function prepareChromium() {
  return prepareProgram({
    program: chromium,
    packageName: 'chromium',
    reason: 'the demo is tested in a real browser (set CHROMIUM to the path of another one of this kind)',
    brew: 'brew install --cask chromium',
  })
}

function prepareProgram({ program, packageName, reason, brew, versionFlag = '--version' }) {
  const isThere = () => spawnSync(program, [versionFlag]).status === 0
  if (isThere()) return true
  const canInstall = process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0
  if (canInstall) {
    heading(`apt-get install ${packageName}: ${reason}`)
    const install = ['install', '-y', '--no-install-recommends', packageName]
    withoutServices(() => run('apt-get', ['update']) && run('apt-get', install))
    if (isThere()) return true
  }
  heading(`${packageName} is missing: ${reason}`)
  const command = process.platform === 'darwin' ? brew : `sudo apt-get install -y ${packageName}`
  console.log(`Install it and try again:\n\n  ${command}`)
  return false
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

function changedAt(file) {
  return statSync(file).mtimeMs
}
