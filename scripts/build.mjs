// Usage: node scripts/build.mjs [folder]
//
// Builds the package into a folder, `dist` if none is named: declarations, one for each source file; modules, one for each
// subpath and for what they share, with the packages inside that the library is made with; the licences of these.
import { spawnSync } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

const root = fileURLToPath(new URL('..', import.meta.url))
const output = resolve(process.argv[2] ?? 'dist')
const { exports, bin, peerDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))

// Nothing stays that the sources no longer have.
await rm(output, { recursive: true, force: true })
const compiler = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', output]
const { status } = spawnSync(process.execPath, compiler, { cwd: root, stdio: 'inherit' })
if (status === 0) await writeLicences(await writeModules())
else process.exitCode = 1

/** Resolves to the files that went into the modules. */
async function writeModules() {
  const scripts = [...Object.values(exports).map((target) => target.default), ...Object.values(bin)].filter(Boolean)
  const entries = scripts.map((script) => script.replace(/^\.\/dist\/|\.js$/g, ''))
  const bundle = await rolldown({
    cwd: root,
    input: Object.fromEntries(entries.map((entry) => [entry, `src/${entry}.ts`])),
    // The applications' own: frameworks and client libraries.
    external: Object.keys(peerDependencies).map((name) => new RegExp(`^${name}(/|$)`)),
    platform: 'node',
    tsconfig: 'tsconfig.json',
  })
  const written = await bundle.write({
    dir: output,
    entryFileNames: '[name].js',
    chunkFileNames: 'shared/[name]-[hash].js',
    sourcemap: true,
  })
  await bundle.close()
  return written.output.flatMap(({ moduleIds = [] }) => moduleIds)
}

async function writeLicences(files) {
  const packages = files.map((file) => /^.*[/\\]node_modules[/\\]((?:@[^/\\]+[/\\])?[^/\\]+)/.exec(file))
  const folders = new Map(packages.filter(Boolean).map(([folder, name]) => [name, folder]))
  const texts = await Promise.all(
    [...folders]
      .toSorted(([one], [other]) => one.localeCompare(other))
      .map(async ([name, folder]) => {
        const { version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
        return `${name} ${version} (${license})\n\n${await readFile(join(folder, 'LICENSE'), 'utf8')}`
      }),
  )
  await writeFile(join(output, 'THIRD-PARTY-LICENSES.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`))
}
