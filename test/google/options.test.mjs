import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import Module from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { Datastore, v1 } from '@google-cloud/datastore'
import { describe, expect, onTestFinished, test } from 'vitest'
import { appEngineNdb } from '../../src/backends/app-engine-ndb.ts'
import { datastore } from '../../src/backends/datastore.ts'
import { memcached } from '../../src/backends/memcached.ts'
import { vishnuPython } from '../../src/dialects/vishnu-python.ts'
import { createSessions } from '../../src/index.ts'

describe.each([
  ['datastore', datastore],
  ['appEngineNdb', appEngineNdb],
])('%s()', (name, make) => {
  const problemsOf = (options) => {
    try {
      make(options)
    } catch (error) {
      return error.code === 'ERR_CONFIG' && error.problems
    }
    return []
  }

  test('tells everything that is wrong with its options at once', () => {
    expect(
      problemsOf({
        projectId: 1,
        namespace: 'a b',
        databaseId: '/',
        credentials: 'secret key',
        keyFilename: '',
        apiEndpoint: 8081,
        timeout: 0,
        project_id: 'test',
      }),
    ).toEqual([
      'project_id is not an option: did you mean projectId?',
      'projectId must be a string, not 1',
      'namespace must be up to 100 letters, digits and ._-, not a string of length 3',
      "databaseId must be a database's name, not a string of length 1",
      'credentials must be an object with client_email and private_key',
      'keyFilename must be a path, not a string of length 0',
      'apiEndpoint must be a host name, not 8081',
      'timeout must be a whole number of milliseconds from 1 to 600000, not 0',
    ])
  })

  test('refuses a URL with a password, which a failing look-up would tell', () => {
    expect(problemsOf({ apiEndpoint: 'https://me:password@host' })).toEqual([
      'apiEndpoint must be a host name, not a string of length 24',
    ])
    expect(problemsOf({ apiEndpoint: 'http://localhost:8081' })).toEqual([])
  })

  test('refuses a client that can not compare and set, and one beside the way to another', () => {
    expect(problemsOf({ client: new Datastore({ projectId: 'test' }) })).toEqual([
      'client must be a v1.DatastoreClient of @google-cloud/datastore, whose Datastore tells no versions',
    ])
    const client = new v1.DatastoreClient({ projectId: 'test' })
    expect(problemsOf({ client, keyFilename: 'key.json' })).toEqual([
      'client knows its way already: leave out keyFilename',
    ])
  })

  test('without credentials each call fails, and looks for them again', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'vishnu-key-')), 'key.json')
    onTestFinished(() => rmSync(dirname(file), { recursive: true }))
    const backend = make({ projectId: 'test', keyFilename: file })
    // What nobody catches would end the process, and does fail this run.
    await expect(backend.read('key', 0)).rejects.toThrow('ENOENT')
    mkdirSync(file)
    await expect(backend.read('key', 0)).rejects.toThrow('EISDIR')
    await backend.close()
    await expect(backend.read('key', 0)).rejects.toMatchObject({ code: 'ERR_BACKEND' })
  })

  test('says what to install if the package is missing', () => {
    const path = process.env.NODE_PATH
    const setPath = (folders) => {
      process.env.NODE_PATH = folders
      Reflect.get(Module, '_initPaths')()
    }
    onTestFinished(() => {
      setPath(path)
    })
    setPath('')
    expect(() => make()).toThrow(
      expect.objectContaining({
        code: 'ERR_CLIENT_MISSING',
        message: expect.stringMatching(new RegExp(`^${name}\\(\\) needs .*: npm install @google-cloud/datastore`)),
      }),
    )
  })
})

test('NDB and the dialect that writes for it are a mistake in the configuration one without the other', () => {
  const secret = 'a secret for tests, and for nothing else'
  const backend = appEngineNdb({ projectId: 'test' })
  const start = (options) => () => createSessions({ secret, ...options })
  const ndb = vishnuPython({ format: 'ndb' })
  expect(start({ backend, dialect: ndb })).not.toThrow()
  expect(start({ backend, dialect: vishnuPython() })).toThrow(/format: 'ndb' }\) and appEngineNdb\(\) need each other/)
  expect(start({ backend: memcached({ layout: 'plain' }), dialect: ndb })).toThrow(/need each other/)
  expect(start({ backend })).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }))
})

test('the kind of datastore() must be a name that Datastore has not reserved', () => {
  for (const kind of ['', '__Stat_Total__', 'a b', 1]) {
    expect(() => datastore({ projectId: 'test', kind })).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }))
  }
})

test("Google's client has the types that the backends ask for", () => {
  // In this folder, so that the compiler finds the package.
  const folder = mkdtempSync(join(import.meta.dirname, 'node_modules', '.types-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'client.mts')
  writeFileSync(
    file,
    `import { v1 } from '@google-cloud/datastore'
import { appEngineNdb } from '${resolve(import.meta.dirname, '../../src/backends/app-engine-ndb.ts')}'
import { datastore } from '${resolve(import.meta.dirname, '../../src/backends/datastore.ts')}'

const client = new v1.DatastoreClient()
export const backends = [datastore({ client }), appEngineNdb({ client })]
// @ts-expect-error: not a client
datastore({ client: {} })
`,
  )
  const root = resolve(import.meta.dirname, '../..')
  const options = [
    '--ignoreConfig',
    '--strict',
    '--exactOptionalPropertyTypes',
    '--noEmit',
    '--skipLibCheck',
    '--types',
    'node',
  ]
  const modules = ['--module', 'nodenext', '--target', 'es2023', '--allowImportingTsExtensions']
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const types = ['--typeRoots', join(root, 'node_modules/@types')]
  const { stdout } = spawnSync(process.execPath, [tsc, ...options, ...modules, ...types, file], { encoding: 'utf8' })
  expect(stdout).toBe('')
})
