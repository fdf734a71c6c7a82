import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { describe, expect, test } from 'vitest'
import manifest from '../package.json' with { type: 'json' }

const source = new URL('../src/', import.meta.url)
const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'))
const texts = new Map(files.map((file) => [file, readFileSync(new URL(file, source), 'utf8')]))

/** What a file imports: own files as paths under src, all else as it is written. */
function importsOf(file: string): string[] {
  const text = withoutComments(texts.get(file) ?? '')
  const pattern = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)'([^']+)'/g
  return Array.from(text.matchAll(pattern), ([, specifier = '']) =>
    specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts') : specifier,
  )
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
}

const isOwn = (specifier: string): boolean => specifier.endsWith('.ts')
const isPackage = (specifier: string): boolean => !isOwn(specifier) && !isBuiltin(specifier)
const packageOf = (specifier: string): string => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? ''
const own = (file: string): string[] => importsOf(file).filter(isOwn)
const packages = (file: string): string[] => importsOf(file).filter(isPackage).map(packageOf)
const within = (folder: string): string[] => files.filter((file) => file.startsWith(`${folder}/`))
const core = files.filter((file) => !file.includes('/') && file !== 'index.ts')

/** The packages that the library is made with: `scripts/build.mjs` puts them into its own modules. */
const bundled = ['cookie', 'devalue', 'commander']

/** Backends that share parts: D1 is SQLite by another protocol, memcache-client another way to Memcached. */
const relatives = new Map([
  ['backends/d1', ['backends/sqlite']],
  ['backends/memcache', ['backends/memcached']],
  // App Engine: NDB is a layout of entities in Datastore, its memcache another way to Memcached's entries.
  ['backends/app', ['backends/datastore', 'backends/memcached']],
])

describe('the import arrows', () => {
  test('are read from every file', () => {
    expect(files).toContain('sessions.ts')
    expect(files).toContain('backends/redis.ts')
    for (const file of files)
      for (const target of own(file)) expect([file, files]).toEqual([file, expect.arrayContaining([target])])
    expect(own('sessions.ts')).toEqual(expect.arrayContaining(['session.ts', 'record-store.ts', 'cookie.ts']))
    expect(packages('cookie.ts')).toEqual(['cookie'])
  })

  test('never lead in a circle', () => {
    const finished = new Set<string>()
    const circles: string[][] = []
    const visit = (file: string, path: string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file])
      if (finished.has(file) || path.includes(file)) return
      for (const target of own(file)) visit(target, [...path, file])
      finished.add(file)
    }
    for (const file of files) visit(file, [])
    expect(circles).toEqual([])
  })

  test.each(core)('of the core stay in the core: %s', (file) => {
    const allowed = own(file).filter((target) => core.includes(target) || target === 'dialects/native.ts')
    expect(own(file)).toEqual(allowed)
  })

  test('lead to sessions.ts from the outside only', () => {
    const users = files.filter((file) => own(file).includes('sessions.ts'))
    expect(users.filter((file) => !/^(index\.ts|adapters\/|testing\/)/.test(file))).toEqual([])
  })

  test('never lead to the command line', () => {
    const users = files.filter(
      (file) => !file.startsWith('cli/') && own(file).some((target) => target.startsWith('cli/')),
    )
    expect(users).toEqual([])
  })

  test.each(['errors.ts', 'backend.ts', 'record.ts', 'events.ts'])('end at %s', (file) => {
    expect(importsOf(file)).toEqual([])
  })

  test.each(within('dialects'))('of a dialect lead to the words it is written in: %s', (file) => {
    const allowed = /^(dialect|record|errors)\.ts$|^dialects\//
    expect(own(file).filter((target) => !allowed.test(target))).toEqual([])
  })

  test.each(within('backends'))('of a backend lead to the interface, the errors and its own parts: %s', (file) => {
    const [family = ''] = file.replace(/\.ts$/, '').split('-')
    const families = [family, ...(relatives.get(family) ?? [])]
    const allowed = (target: string): boolean =>
      /^(backend|errors|memcached-client\/index)\.ts$/.test(target) ||
      families.some((name) => target.startsWith(`${name}-`))
    expect(own(file).filter((target) => !allowed(target))).toEqual([])
  })

  test.each(within('memcached-client'))('of the Memcached client stay in its folder: %s', (file) => {
    const outside = importsOf(file).filter((target) => !target.startsWith('memcached-client/') && !isBuiltin(target))
    expect(outside).toEqual([])
  })

  test.each(within('adapters'))('of an adapter lead to the sessions, to adapters and to the errors: %s', (file) => {
    const allowed = /^(sessions?|response-headers|errors)\.ts$|^adapters\//
    expect(own(file).filter((target) => !allowed.test(target))).toEqual([])
  })

  test('lead to packages from where they are needed only', () => {
    const users = (name: string): string[] => files.filter((file) => packages(file).includes(name))
    expect(users('cookie')).toEqual(['cookie.ts'])
    expect(users('devalue')).toEqual(['dialects/native-value.ts'])
    expect(users('commander')).toEqual(['cli/main.ts'])
    const rest = files.filter((file) => packages(file).some((name) => !bundled.includes(name)))
    expect(rest.filter((file) => !/^(adapters|backends)\//.test(file))).toEqual([])
  })

  test('lead to no package that is not declared', () => {
    const declared = [...bundled, ...Object.keys(manifest.peerDependencies)]
    for (const file of files)
      expect([file, packages(file).filter((name) => !declared.includes(name))]).toEqual([file, []])
  })
})

describe('the package', () => {
  const paths = Object.entries(manifest.exports).filter(([path]) => path !== './package.json')

  test.each(paths)('%s has a source file', (_, target) => {
    const { types, default: script } = target as { types: string; default: string }
    const file = /^\.\/dist\/(.*)\.js$/.exec(script)?.[1] ?? ''
    expect(files).toContain(`${file}.ts`)
    expect(types).toBe(`./dist/${file}.d.ts`)
  })

  test('exports the public names and nothing else', () => {
    const lines = withoutComments(texts.get('index.ts') ?? '')
      .split('\n')
      .filter((line) => line.trim() !== '')
    expect(lines.filter((line) => !/^export (type )?\{[\w\s,]+\} from '\.\/[\w-]+\.js'$/.test(line))).toEqual([])
  })

  test.each(files)('a newcomer can read %s in one sitting', (file) => {
    expect((texts.get(file) ?? '').split('\n').length).toBeLessThanOrEqual(500)
  })
})
