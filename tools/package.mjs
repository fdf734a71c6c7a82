import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export const root = fileURLToPath(new URL('..', import.meta.url))
export const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))

/** What can be imported, by the name under which it is: `vishnu/node` is the module `adapters/node`. */
export const subpaths = Object.entries(manifest.exports)
  .filter(([, target]) => typeof target === 'object')
  .map(([path, target]) => ({
    name: path.replace('.', manifest.name),
    module: target.default.replace(/^\.\/dist\/|\.js$/g, ''),
  }))

/** `vishnu/backends/redis` as a part of a file's name. */
export function fileName(subpath) {
  return subpath.replaceAll('/', '-')
}

/** Runs the tool of that name; resolves to what it printed, and whether it was content. */
export async function runTool(name, ...args) {
  const script = fileURLToPath(new URL(`node_modules/${name}`, import.meta.url))
  const options = { cwd: root, maxBuffer: 50_000_000, env: { ...process.env, NO_COLOR: '1' } }
  return execute(process.execPath, [script, ...args], options).then(
    ({ stdout }) => ({ passed: true, output: stdout }),
    ({ stdout, stderr, message }) => ({ passed: false, output: stdout + stderr || message }),
  )
}

/** Builds in a folder of its own, as others may be building or testing at the same time. */
export async function withBuild(work) {
  const folder = await mkdtemp(join(tmpdir(), 'vishnu-build-'))
  try {
    for (const file of ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md']) {
      await copyFile(join(root, file), join(folder, file))
    }
    await execute(process.execPath, [join(root, 'scripts/build.mjs'), join(folder, 'dist')])
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

export async function pack(folder) {
  await execute('npm', ['pack', '--ignore-scripts', '--silent'], { cwd: folder })
  return join(folder, (await readdir(folder)).find((name) => name.endsWith('.tgz')) ?? '')
}
