import { readFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { gzipSync } from 'node:zlib'
import { build as bundle } from 'esbuild'
import { manifest, root, subpaths } from './package.mjs'

const clientLibraries = Object.keys(manifest.peerDependencies)
/** What `scripts/build.mjs` puts into the modules. */
const bundled = ['cookie', 'devalue']
export const sizesFile = new URL('sizes.json', import.meta.url)

/** Each subpath by itself, from the sources: an application that imports it has so much, and nothing else. */
export async function bundleAll() {
  return Promise.all(
    subpaths.map(async ({ name, module }) => {
      const { metafile, outputFiles } = await bundle({
        absWorkingDir: root,
        entryPoints: [`src/${module}.ts`],
        external: clientLibraries,
        bundle: true,
        minify: true,
        format: 'esm',
        platform: 'node',
        target: 'node20',
        metafile: true,
        write: false,
      })
      const [output] = Object.values(metafile.outputs)
      return {
        name,
        bytes: gzipSync(outputFiles[0].contents).length,
        files: Object.keys(metafile.inputs),
        imports: output.imports.filter(({ external }) => external).map(({ path }) => path),
      }
    }),
  )
}

/** The subpaths that have outgrown their budget, or have none. */
export async function tooLarge(bundles) {
  const budgets = JSON.parse(await readFile(sizesFile, 'utf8'))
  const unknown = Object.keys(budgets).filter((name) => !bundles.some((one) => one.name === name))
  return [
    ...bundles
      .filter(({ name, bytes }) => !(bytes <= budgets[name]))
      .map(({ name, bytes }) => `${name} has ${bytes} bytes, its budget is ${budgets[name] ?? 'not set'}`),
    ...unknown.map((name) => `${name} has a budget and is not exported`),
  ]
}

/** Room for what is mended, and not for what is added without a second thought. */
export function budgetFor(bytes) {
  return Math.ceil((bytes * 1.15) / 100) * 100
}

/**
 * What a subpath drags along that it must not: the core a backend, an adapter, a framework or a client library; an adapter a
 * backend; a backend the core. The published tests are no burden on anybody.
 */
export function misplaced(bundles) {
  return bundles.flatMap(({ name, files, imports }) => [
    ...files.filter((file) => !belongs(name, file)).map((file) => `${name} contains ${file}`),
    ...imports.filter((path) => !isBuiltin(path) && !isOwnClient(name, path)).map((path) => `${name} imports ${path}`),
  ])
}

/**
 * Backends that share parts: D1 is SQLite by another protocol, memcache-client another way to Memcached, App Engine's NDB a
 * layout in Datastore, and its memcache keeps the same entries as Memcached.
 */
const relatives = { d1: ['sqlite'], memcache: ['memcached'], app: ['datastore', 'memcached'] }

function belongs(name, file) {
  const [, kind, place = ''] = /^src\/(?:(backends|adapters|testing)\/)?(.*)\.ts$/.exec(file) ?? []
  const isOurs = file.startsWith('src/')
  if (name === 'vishnu/testing') return true
  if (name.startsWith('vishnu/backends/')) {
    const [family] = name.slice('vishnu/backends/'.length).split('-')
    if (kind === 'backends') return [family, ...(relatives[family] ?? [])].includes(place.split('-')[0])
    return isOurs && (place === 'errors' || (family.startsWith('memcache') && place.startsWith('memcached-client/')))
  }
  if (!isOurs) return bundled.some((inside) => file.startsWith(`node_modules/${inside}/`))
  if (kind === 'adapters') return name !== 'vishnu'
  if (place.startsWith('dialects/vishnu-python')) return name === 'vishnu/dialects/vishnu-python'
  return kind === undefined && !place.startsWith('cli/') && !place.startsWith('memcached-client/')
}

/** These adapters are made of parts of their framework's. */
const frameworks = {
  'vishnu/nest': ['@nestjs/common'],
  'vishnu/elysia': ['elysia'],
  'vishnu/next': ['next/headers.js', 'next/server.js'],
}

/** A backend may import its client, if it is there. */
function isOwnClient(name, path) {
  return frameworks[name]?.includes(path) || (name.startsWith('vishnu/backends/') && clientLibraries.includes(path))
}
