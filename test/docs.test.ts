import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import type { EmptyProject } from './helpers/empty-project.js'
import { type CodeBlock, namesInTable, readMarkdown } from './quality/markdown.js'
import { compile, problemOf, snippetProject, writeModules } from './quality/snippets.js'

/** Packing and installing takes its time. */
const MINUTE = 60_000

const markdownIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name).replaceAll('\\', '/'))

const generated = markdownIn('docs/api')
const written = [
  ...readdirSync('.').filter((name) => name.endsWith('.md')),
  ...markdownIn('docs').filter((name) => !generated.includes(name)),
]
/** Their snippets need packages that the root does without: the tests in `test/fullstack` check them. */
const fullstack = new Set(readdirSync('test/fullstack').map((name) => `docs/frameworks/${name}.md`))
const documents = new Map([...written, ...generated].map((file) => [file, readMarkdown(file)]))
const readme = readMarkdown('README.md')
const checkedHere = written.filter((file) => !fullstack.has(file))

function blocksOf(file: string): readonly CodeBlock[] {
  return documents.get(file)?.codeBlocks ?? []
}

describe('the documents', () => {
  test('link to files and headings that exist', () => {
    const broken = [...documents].flatMap(([file, { links, anchors }]) =>
      links
        .filter((link) => !/^(https?|mailto):/.test(link))
        .filter((link) => {
          const [path = '', anchor] = link.split('#')
          const target = path === '' ? file : join(dirname(file), path).replaceAll('\\', '/')
          const known = target === file ? anchors : documents.get(target)?.anchors
          return !existsSync(target) || (anchor !== undefined && known?.has(anchor) !== true)
        })
        .map((link) => `${file}: ${link}`),
    )
    expect(broken).toEqual([])
  })

  test('have code only in languages that are checked, or in none', () => {
    const checked = ['js', 'mjs', 'ts', 'console', 'text']
    const others = checkedHere.flatMap((file) =>
      blocksOf(file)
        .filter(({ language }) => !checked.includes(language))
        .map(({ language, text }) => `${file}: ${language} ${text}`),
    )
    expect(others).toEqual([])
  })

  test('name npm scripts and files that exist', () => {
    const unknown = written.flatMap((file) => {
      const { text = '', codeBlocks = [] } = documents.get(file) ?? {}
      const commands = codeBlocks.filter(({ language }) => language === 'console').map((block) => block.text)
      const scripts = allMatches(text, /\bnpm (?:run )?((?<=run )[\w:-]+|test\b|start\b)/g)
      const paths = commands.flatMap((command) => allMatches(command, /\s((?:[\w.-]+\/)+[\w.-]+\.\w+)/g))
      return [
        ...scripts.filter((name) => !(name in manifest.scripts)).map((name) => `${file}: npm run ${name}`),
        ...paths.filter((path) => !existsSync(path)).map((path) => `${file}: ${path}`),
      ]
    })
    expect(unknown).toEqual([])
  })
})

describe('the README', () => {
  test('tells of every error code, and of no other', () => {
    const [, union = ''] = /type SessionErrorCode =\n((?: {2}\| '\w+'\n)+)/.exec(source('errors.ts')) ?? []
    const codes = allMatches(union, /'(\w+)'/g)
    expect(codes.length).toBeGreaterThan(10)
    expect(namesInTable(readme, 'Errors').toSorted()).toEqual(codes.toSorted())
  })

  test('tells of every option, and of no other', () => {
    const [, body = ''] = /interface SessionsOptions \{\n([\s\S]*?)\n\}/.exec(source('config.ts')) ?? []
    const options = allMatches(body, /^ {2}(\w+)\??:/gm)
    expect(options.length).toBeGreaterThan(15)
    expect(namesInTable(readme, 'Options').toSorted()).toEqual(options.toSorted())
  })

  test('and the other documents tell of every subpath, and of no other', () => {
    const texts = written.map((file) => documents.get(file)?.text ?? '').join('\n')
    const named = new Set(allMatches(texts, /[`'"](vishnu(?:\/[a-z0-9-]+)+)[`'"]/g))
    const exported = Object.keys(manifest.exports).filter((path) => path !== '.' && path !== './package.json')
    expect([...named].toSorted()).toEqual(exported.map((path) => path.replace('.', 'vishnu')).toSorted())
  })
})

describe('the snippets, with the packed package', () => {
  let project: EmptyProject

  beforeAll(async () => {
    project = await snippetProject()
  }, 2 * MINUTE)
  afterAll(() => project.remove())

  const scripts = checkedHere.flatMap((file) =>
    blocksOf(file)
      .filter(({ language }) => language === 'js' || language === 'mjs')
      .map((block, index) => [`${file}: ${block.fileName ?? `script ${index + 1}`}`, file, block] as const),
  )
  test.each(scripts)('%s runs', async (_, file, { text, fileName = 'script.mjs' }) => {
    const folder = writeModules(project, `run-${basename(file, '.md')}`, { [fileName]: text })
    expect(await problemOf(folder, fileName)).toBeUndefined()
  })

  test('compile', { timeout: MINUTE }, async () => {
    const files = checkedHere.flatMap((file) => {
      const blocks = blocksOf(file).filter(({ language }) => language === 'ts')
      const named = blocks.map(({ text, fileName }, index) => [fileName ?? `snippet-${index + 1}.ts`, text] as const)
      const modules = { ...standIns(), ...Object.fromEntries(named) }
      expect(named.length, `files of one name in ${file}`).toBe(new Set(named.map(([name]) => name)).size)
      const folder = file.replace(/\.md$/, '')
      if (blocks.length > 0) writeModules(project, folder, modules)
      return named.map(([name]) => `${folder}/${name}`)
    })
    // For the decorators of NestJS, which decorate parameters too.
    await compile(project, ['--experimentalDecorators', ...files])
  })

  test('make a backend that keeps every law and every rule', { timeout: 2 * MINUTE }, async () => {
    const blocks = blocksOf('docs/backends.md').filter(({ fileName }) => fileName?.startsWith('sql-backend'))
    const modules = Object.fromEntries(blocks.map(({ text, fileName = '' }) => [fileName, text]))
    const folder = writeModules(project, 'laws', modules)
    await compile(
      project,
      Object.keys(modules).map((name) => join('laws', name)),
    )
    const { stdout } = await project.run(
      process.execPath,
      '--test',
      '--test-reporter=tap',
      join(folder, 'sql-backend.test.js'),
      join(folder, 'sql-backend.histories.test.js'),
    )
    expect(stdout).toContain('- visitors whose calls come side by side')
    expect(Number(/^# pass (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(50)
  })
})

/** What snippets import from the reader's own application. */
function standIns(): Record<string, string> {
  const sessions = readme.codeBlocks.find(
    ({ language, text }) => language === 'ts' && text.includes('const sessions ='),
  )
  return {
    'sessions.ts': sessions?.text ?? '',
    'users.ts':
      'export async function findUser(name: string, password: string): Promise<string | undefined> {\n' +
      '  return password ? name : undefined\n}\n',
    'my-backend.ts': "export { memory as myBackend } from 'vishnu/backends/memory'\n",
  }
}

/** The first group of every match. */
function allMatches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, group = '']) => group)
}

function source(file: string): string {
  return readFileSync(join('src', file), 'utf8')
}
