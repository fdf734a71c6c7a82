import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Browser } from './helpers/browser.js'
import { codeBlocks, emptyProject, type EmptyProject, nodeBinary } from './helpers/empty-project.js'

/** Fetching other Nodes from the registry takes its time. */
const MINUTES = 60_000

describe('the packed package in an empty project', () => {
  let project: EmptyProject

  beforeAll(async () => {
    project = await emptyProject('express@5', '@types/express@5', '@types/node@20')
    const [example = ''] = await codeBlocks('README.md', 'js')
    await project.write('server.mjs', example)
  }, 2 * MINUTES)
  afterAll(() => project.remove())

  test.each([20, 22, 24])("runs the README's first example on Node %i", { timeout: 3 * MINUTES }, async (major) => {
    const server = await project.serve(await nodeBinary(major), 'server.mjs')
    try {
      const browser = new Browser()
      expect((await browser.get(server.origin)).body).toBe('Visit number 1')
      expect((await browser.get(server.origin)).body).toBe('Visit number 2')
      expect((await new Browser().get(server.origin)).body).toBe('Visit number 1')
    } finally {
      await server.stop()
    }
  })

  test('compiles the typed snippets of the README', async () => {
    const [sessions = '', app = ''] = await codeBlocks('README.md', 'ts')
    await project.write('sessions.ts', sessions)
    await project.write('app.ts', app)
    await project.write(
      'users.ts',
      'export async function findUser(name: string, password: string): Promise<string | undefined> {\n' +
        '  return password ? name : undefined\n}\n',
    )
    const options = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2023', '--types', 'node']
    const tsc = resolve('node_modules/typescript/bin/tsc')
    const compiled = await project.run(
      process.execPath,
      tsc,
      ...options,
      '--skipLibCheck',
      'false',
      'sessions.ts',
      'app.ts',
    )
    expect(compiled.stdout).toBe('')
  })

  test('brings in no other package', async () => {
    const { stdout } = await project.run('npm', 'ls', '--all', '--parseable', '--omit=peer', 'vishnu')
    expect(stdout.trim().split('\n')).toEqual([expect.stringMatching(/node_modules.vishnu$/)])
    expect(JSON.parse(await readFile('package.json', 'utf8'))).not.toHaveProperty('dependencies')
  })

  test('carries the licences of the packages that it is made with', async () => {
    const licences = await readFile(join(project.dir, 'node_modules/vishnu/dist/THIRD-PARTY-LICENSES.txt'), 'utf8')
    const titles = [...licences.matchAll(/^(\S+) [\d.]+ \((\S+)\)$/gm)].map(([, name, licence]) => [name, licence])
    expect(titles).toEqual(['commander', 'cookie', 'devalue'].map((name) => [name, 'MIT']))
  })

  test('can be required from CommonJS, without a warning', async () => {
    const { stdout, stderr } = await project.run(process.execPath, '-p', "typeof require('vishnu').createSessions")
    expect({ stdout, stderr }).toEqual({ stdout: 'function\n', stderr: '' })
  })
})
