import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { d1 } from '../../src/backends/d1.ts'
import { durableObject } from '../../src/backends/durable-object.ts'
import { Browser } from '../helpers/browser.ts'
import { codeBlocks, emptyProject } from '../helpers/empty-project.ts'
import { copyPrograms } from './helpers/runtimes.mjs'
import { startWorker } from './helpers/worker.mjs'

const HOUR = 3_600_000

let project
beforeAll(async () => {
  project = await emptyProject('@cloudflare/workers-types@4')
  await copyPrograms(project.dir)
})
afterAll(() => project?.remove())

async function start(file, options) {
  const worker = await startWorker(join(project.dir, file), options)
  onTestFinished(worker.stop)
  return worker
}

describe('a worker', () => {
  const bindings = { SESSION_SECRET: 'a secret for tests, and for nothing else' }

  test.each(['worker.ts', 'd1-worker.ts'])('written as %s of docs/runtimes.md counts visits', async (name) => {
    const snippets = await codeBlocks('docs/runtimes.md', 'ts')
    const isWanted = (text) => text.includes('DurableObjectBinding') === (name === 'worker.ts')
    await project.write(name, snippets.find(isWanted))
    const className = name === 'worker.ts' ? 'SessionObject' : undefined
    const { origin } = await start(name, { className, bindings })
    const browser = new Browser()
    expect((await browser.get(origin)).body).toBe('Visit number 1')
    expect((await browser.get(origin)).body).toBe('Visit number 2')
    expect((await new Browser().get(origin)).body).toBe('Visit number 1')
  })

  test('can make its sessions at module scope, where Workers forbid timers and random values', async () => {
    const { origin } = await start('module-scope.mjs', { className: 'SessionObject', bindings })
    const browser = new Browser()
    expect((await browser.get(origin)).body).toBe('1')
    expect((await browser.get(origin)).body).toBe('2')
  })
})

describe('a Durable Object of a session', () => {
  let post
  const look = () => post('/', { action: 'look' })
  const now = Date.now()
  beforeAll(async () => {
    const worker = await startWorker(join(project.dir, 'objects.mjs'), { className: 'WatchedObject' })
    post = worker.post
    return worker.stop
  })

  test('stores nothing for a session that it does not have', async () => {
    await post('/', { action: 'replaceAbsent', now, deadline: now + HOUR })
    expect(await look()).toEqual({ entries: 0, alarm: null })
  })

  test('wakes up when its session has been over for a minute, and not before', async () => {
    const before = Date.now()
    // By the worker's clock, which may be wrong.
    await post('/', { action: 'create', now: 1000, deadline: 1000 + HOUR })
    const { entries, alarm } = await look()
    expect(entries).toBe(1)
    expect(alarm).toBeGreaterThanOrEqual(before + HOUR + 60_000)
    expect(alarm).toBeLessThanOrEqual(Date.now() + HOUR + 60_000)
  })

  test('that is woken up too early keeps its session', async () => {
    const { alarm } = await look()
    await post('/', { action: 'ring' })
    expect(await look()).toEqual({ entries: 1, alarm })
  })

  test('forgets everything when its session is deleted', async () => {
    await post('/', { action: 'delete' })
    expect(await look()).toEqual({ entries: 0, alarm: null })
  })

  test('removes itself when its time has come', async () => {
    await post('/', { action: 'create', now, deadline: now - HOUR })
    await expect.poll(look).toEqual({ entries: 0, alarm: null })
  })
})

test('D1 does not grow with the dead', async () => {
  await project.write('empty.mjs', 'export default { fetch: () => new Response() }')
  const { database } = await start('empty.mjs')
  const backend = d1({ database: await database() })
  const create = (index, at) => backend.create(`${index}`.padEnd(43, 'k'), Uint8Array.of(1), at + HOUR, at)
  for (let index = 0; index < 20; index++) await create(index, 0)
  expect(await backend.countExpired({ now: 2 * HOUR, dormantBefore: 0 })).toBe(20)
  for (let index = 20; index < 30; index++) await create(index, 2 * HOUR)
  expect(await backend.countExpired({ now: 2 * HOUR, dormantBefore: 0 })).toBe(0)
})

test('D1 gets no write a second time of which nobody knows whether it was done', async () => {
  await project.write('empty.mjs', 'export default { fetch: () => new Response() }')
  const database = await (await start('empty.mjs')).database()
  await d1({ database }).read('k'.repeat(43), 0)
  let batches = 0
  const losing = {
    prepare: (sql) => database.prepare(sql),
    batch: async (statements) => {
      batches++
      await database.batch(statements)
      throw new Error('D1_ERROR: Network connection lost.')
    },
  }
  const create = d1({ database: losing }).create('k'.repeat(43), Uint8Array.of(1), HOUR, 0)
  await expect(create).rejects.toThrow('Network connection lost')
  expect(batches).toBe(1)
  expect(await d1({ database }).read('k'.repeat(43), 0)).toBeDefined()
})

describe('wrong options', () => {
  const cases = [
    [() => d1({}), /database must be a D1 binding: declare it/],
    [() => d1({ database: { batch: () => [] }, table: 'a; DROP TABLE users' }), /table must be/],
    [() => d1({ database: { batch: () => [] }, file: 'x' }), /file is not an option/],
    [() => durableObject({}), /namespace must be a binding: declare it/],
    [() => durableObject({ namespace: { idFromName: () => 1 }, shards: 8 }), /shards is not an option/],
  ]
  test.each(cases)('%# are told when the backend is made', (open, problem) => {
    expect(open).toThrow(expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringMatching(problem) }))
  })
})

test("the backends take what Cloudflare's types call their bindings", async () => {
  await project.write(
    'bindings.ts',
    `import type { D1Database, DurableObject, DurableObjectNamespace, DurableObjectState } from '@cloudflare/workers-types'
    import { d1 } from 'vishnu/backends/d1'
    import { durableObject, SessionObject } from 'vishnu/backends/durable-object'
    declare const env: { DB: D1Database; SESSIONS: DurableObjectNamespace }
    declare const state: DurableObjectState
    export const backends = [d1({ database: env.DB }), durableObject({ namespace: env.SESSIONS })]
    export const object: Pick<DurableObject, 'alarm'> = new SessionObject(state)
    // @ts-expect-error: a namespace is no database
    d1({ database: env.SESSIONS })
    `,
  )
  const options = [
    '--strict',
    '--noEmit',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--types',
    '',
  ]
  const tsc = resolve('node_modules/typescript/bin/tsc')
  const { stdout } = await project.run(process.execPath, tsc, ...options, 'bindings.ts')
  expect(stdout).toBe('')
})
