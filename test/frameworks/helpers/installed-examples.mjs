import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))
const tsc = join(root, 'node_modules/typescript/bin/tsc')
const nitro = resolve(import.meta.dirname, '../node_modules/nitro/dist/cli/index.mjs')

/** A copy of the examples that finds the built package and the frameworks as if they had been installed there. */
export async function installExamples() {
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-examples-'))
  const remove = () => rm(dir, { recursive: true })
  await install(dir).catch(async (error) => {
    await remove()
    throw error
  })
  return {
    dir: join(dir, 'examples'),
    /** Compiles an example that is written in TypeScript. */
    compile: (name) => run(tsc, '-p', join(dir, 'examples', name)),
    /** Makes the server that Nitro runs on Node. */
    buildNitro: () => run(nitro, 'build', '--dir', join(dir, 'examples/nitro')),
    remove,
  }
}

async function install(dir) {
  for (const name of ['@redis/client', '@types/node']) {
    await link(join(root, 'node_modules', name), join(dir, 'node_modules', name))
  }
  for (const name of await installed(resolve(import.meta.dirname, '../node_modules'))) {
    await link(resolve(import.meta.dirname, '../node_modules', name), join(dir, 'node_modules', name))
  }
  await build(dir)
  await cp(join(root, 'examples'), join(dir, 'examples'), { recursive: true })
}

async function build(dir) {
  const target = join(dir, 'node_modules/vishnu')
  await run(join(root, 'scripts/build.mjs'), join(target, 'dist'))
  await cp(join(root, 'package.json'), join(target, 'package.json'))
}

async function run(...args) {
  await execute(process.execPath, args).catch((error) => {
    throw new Error(`${error.message}\n${error.stdout}`, { cause: error })
  })
}

async function link(target, path) {
  await mkdir(dirname(path), { recursive: true })
  await symlink(target, path, 'junction').catch((error) => {
    if (error.code !== 'EEXIST') throw error
  })
}

async function installed(folder) {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.'))
  const lists = names.map(async (name) =>
    name.startsWith('@') ? (await readdir(join(folder, name))).map((inner) => `${name}/${inner}`) : [name],
  )
  return (await Promise.all(lists)).flat()
}

/** Runs a server until it has printed as many addresses as are wanted. */
export async function startExample(script, { command = process.execPath, env = {}, addresses = 1 } = {}) {
  const child = spawn(command, [script], {
    // srvx tells its address in no tests.
    env: { ...process.env, TEST: '', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGKILL')
    await exited
  }
  const origins = []
  for await (const line of createInterface(child.stdout)) {
    const [origin] = /http:\S+/.exec(line) ?? []
    if (origin) origins.push(origin.replace(/\/$/, ''))
    if (origins.length === addresses) return { origins, stop }
  }
  throw new Error(`${script} ended after ${origins.length} addresses`)
}
