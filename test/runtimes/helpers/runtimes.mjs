import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { emptyProject } from '../../helpers/empty-project.ts'
import { startWorker } from './worker.mjs'

const execute = promisify(execFile)
const programs = fileURLToPath(new URL('../programs', import.meta.url))
const modules = fileURLToPath(new URL('../node_modules', import.meta.url))
const packages = ['express@5', 'ioredis@6', 'hono@4']

const bun = join(modules, 'bun/bin/bun.exe')
const deno = join(modules, 'deno/deno')

const ownMajor = process.versions.node.split('.')[0]

function node(major) {
  const command = major === ownMajor ? process.execPath : join(modules, `node${major}/bin/node`)
  return {
    name: `Node ${major}`,
    command,
    vitest: [command],
    server: 'node:http',
    backends: ['memory', 'sqlite', 'redis'],
    servers: ['node:http'],
  }
}

const all = [
  { ...node('20'), isOlder: true },
  { ...node('22'), isOlder: true },
  { ...node('24'), isOlder: true },
  node('26'),
  {
    name: 'Bun',
    command: bun,
    vitest: [bun, '--bun'],
    server: 'Bun.serve',
    backends: ['memory', 'sqlite', 'sqlite of node:sqlite', 'redis'],
    servers: ['Bun.serve', 'node:http', 'Express', 'Hono', 'Elysia'],
  },
  {
    name: 'Deno',
    command: deno,
    args: ['run', '--quiet', '--allow-all'],
    vitest: [deno, 'run', '--quiet', '--allow-all'],
    server: 'Deno.serve',
    backends: ['memory', 'sqlite', 'redis'],
    servers: ['Deno.serve', 'node:http', 'Express', 'Hono'],
  },
  {
    name: 'workerd',
    // The tests run in workerd, and what starts it on a Node that it supports.
    vitest: node('26').vitest,
    server: 'fetch',
    backends: ['memory', 'D1', 'Durable Objects'],
    servers: ['fetch'],
    // A body whose visitor went away is neither read on nor cancelled.
    capabilities: { cancel: false },
  },
]

/** All runtimes, or with RUNTIMES=newest the newest of each kind. */
export const runtimes = all.filter(({ isOlder }) => process.env.RUNTIMES !== 'newest' || !isOlder)

/** Installs the packed package as users of the runtimes do. */
export async function installEverywhere({ redisPort }) {
  // For Node 20, which has no SQLite of its own.
  const npmProject = await emptyProject(...packages, 'libsql@0.5')
  const bunProject = await installWithBun(npmProject.dir)
  for (const dir of [npmProject.dir, bunProject]) await copyPrograms(dir)
  const worker = await startWorker(join(npmProject.dir, 'worker.mjs'), { className: 'SessionObject' })

  return {
    npmProject,
    bunProject,
    /** Has a runtime perform one task of `programs/tasks.mjs`. */
    perform: async ({ name, command, args = [] }, task) => {
      if (name === 'workerd') return worker.post('/task', task)
      const { stdout } = await execute(command, [...args, 'main.mjs', JSON.stringify(task)], {
        cwd: name === 'Bun' ? bunProject : npmProject.dir,
        env: { ...process.env, REDIS_PORT: String(redisPort), NO_COLOR: '1' },
        maxBuffer: 10_000_000,
        timeout: 150_000,
      })
      return JSON.parse(stdout)
    },
    remove: async () => {
      await worker.stop()
      await npmProject.remove()
      await rm(bunProject, { recursive: true })
    },
  }
}

/** Into a project, where they find its packages. */
export function copyPrograms(dir) {
  return cp(programs, dir, { recursive: true })
}

async function installWithBun(folderOfTarball) {
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-bun-'))
  const tarball = (await readdir(folderOfTarball)).find((name) => name.endsWith('.tgz'))
  await writeFile(join(dir, 'package.json'), '{ "private": true }\n')
  await execute(bun, ['add', join(folderOfTarball, tarball), ...packages, 'elysia@1.4'], { cwd: dir })
  return dir
}
