import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const bench = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('..', import.meta.url))

/** Where the library under test is built to: inside this folder, so that it finds the packages of this folder. */
export const libraryFolder = fileURLToPath(new URL('./dist', import.meta.url))

/** Everything a fresh clone lacks. Installs into the two `node_modules` only, and redis-server if it may. */
export async function prepare() {
  install(root)
  install(bench)
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', libraryFolder])
  if (!hasRedis()) installRedis()
}

function install(folder) {
  const installed = `${folder}node_modules/.package-lock.json`
  const isCurrent =
    existsSync(installed) && statSync(installed).mtimeMs >= statSync(`${folder}package-lock.json`).mtimeMs
  if (isCurrent) return
  say(`npm ci in ${folder}: node_modules is missing or older than package-lock.json`)
  run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], folder)
}

function hasRedis() {
  return spawnSync('redis-server', ['--version']).status === 0
}

function installRedis() {
  const canInstall = process.getuid?.() === 0 && spawnSync('apt-get', ['--version']).status === 0
  if (!canInstall) throw new Error('redis-server is missing: sudo apt-get install -y redis-server, then try again')
  say('apt-get install redis-server: the benchmark starts one of its own and found none')
  run('apt-get', ['update'])
  run('apt-get', ['install', '-y', 'redis-server'])
}

function run(command, args, cwd = root) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { status, error } = spawnSync(command, args, { cwd, env, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw error ?? new Error(`${command} ${args[0]} failed`)
}

function say(text) {
  process.stderr.write(`== ${text}\n`)
}
