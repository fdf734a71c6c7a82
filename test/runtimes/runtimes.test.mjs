import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { memory } from '../../src/backends/memory.ts'
import { backendLaws, faultNames, httpScenario, sweepLaws } from '../../src/testing/index.ts'
import { Browser } from '../helpers/browser.ts'
import { startExample } from '../frameworks/helpers/installed-examples.mjs'
import { visitShop } from '../frameworks/helpers/shop.mjs'
import { codeBlocks } from '../helpers/empty-project.ts'
import { freePort } from '../helpers/free-port.ts'
import { startRedis } from '../helpers/redis-server.ts'
import { installEverywhere, runtimes } from './helpers/runtimes.mjs'

const now = 1_800_000_000_000
const laws = { passed: backendLaws(() => memory()).length, failed: [] }
const sweeping = { passed: sweepLaws(() => memory()).length, failed: [] }
const cases = { passed: httpScenario(() => undefined).length, failed: [] }

let redis
let installed
const perform = (runtime, task) => installed.perform(runtime, task)

/** The signed and the encrypted cookie of each runtime, and their records. */
let written
function everyWritten() {
  written ??= Promise.all(runtimes.map((runtime) => perform(runtime, { task: 'write', now })))
  return written.then((pairs) => pairs.flat())
}

beforeAll(async () => {
  redis = await startRedis()
  installed = await installEverywhere({ redisPort: redis.port })
})
afterAll(async () => {
  await installed?.remove()
  await redis?.stop()
})

describe.each(runtimes)('$name', (runtime) => {
  const { backends, server, servers, capabilities } = runtime
  const shared = backends.filter((backend) => backend !== 'sqlite of node:sqlite')

  test.each(backends)('keeps every law of a backend on %s', async (backend) => {
    expect(await perform(runtime, { task: 'laws', backend })).toEqual(laws)
  })

  test('keeps every law of sweeping', async () => {
    const backend = backends.includes('D1') ? 'empty D1' : 'empty sqlite'
    expect(await perform(runtime, { task: 'sweepLaws', backend })).toEqual(sweeping)
  })

  test.each(servers)('plays the whole HTTP scenario on %s', async (name) => {
    expect(await perform(runtime, { task: 'scenario', server: name, capabilities })).toEqual(cases)
  })

  test.each(shared)('loses none of 800 updates by 8 visitors of one session on %s', async (backend) => {
    const task = { task: 'count', backend, server, loops: 8, rounds: 100 }
    expect(await perform(runtime, task)).toBe(801)
  })

  test.each(shared)('lets no slow request undo a log-out on %s', async (backend) => {
    const outcome = await perform(runtime, { task: 'logOut', backend, server })
    expect(outcome).toEqual({ slowSetsCookies: false, after: 'undefined undefined' })
  })

  test.each(shared)('keeps every promise in a history with faults on %s', async (backend) => {
    const task = { task: 'history', backend, faulty: true, operations: 1000, seed: 1 }
    const { violation, faults } = await perform(runtime, task)
    expect(violation).toBeUndefined()
    // In real time, so that not every play meets the rarest.
    expect(faults.length).toBeGreaterThan(faultNames.length / 2)
  })

  test('answers with 503, to each of several requests, while the backend hangs', async () => {
    const statuses = await perform(runtime, { task: 'hang', server, requests: 5 })
    expect(statuses).toEqual(Array(6).fill(503))
  })

  test('has nothing left to do once it has answered, which a platform would need `waitUntil` for', async () => {
    const left = await perform(runtime, { task: 'afterwards', server })
    expect(Object.keys(left)).toHaveLength(6)
    expect(Object.entries(left).filter(([, calls]) => calls !== 0)).toEqual([])
  })

  test('reads the cookies and records that every runtime has written', async () => {
    const expected = await perform(runtime, { task: 'expected' })
    const read = await perform(runtime, { task: 'read', now: now + 1000, written: await everyWritten() })
    expect(read).toEqual(read.map(() => expected))
    expect(read).toHaveLength(2 * runtimes.length)
  })
})

const documented = { Bun: ['--port', '0'], Deno: ['serve', '--allow-all', '--host', '127.0.0.1', '--port', '0'] }

test.each(Object.entries(documented))('%s serves the example of docs/runtimes.md', async (name, args) => {
  const { npmProject } = installed
  const [example] = await codeBlocks('docs/runtimes.md', 'js')
  await npmProject.write('server.mjs', example)
  const { command } = runtimes.find((runtime) => runtime.name === name)
  // Deno tells its address on stderr.
  const server = await npmProject.serve('sh', '-c', 'exec "$0" "$@" 2>&1', command, ...args, 'server.mjs')
  onTestFinished(server.stop)
  const browser = new Browser()
  expect((await browser.get(server.origin)).body).toBe('Visit number 1')
  expect((await browser.get(server.origin)).body).toBe('Visit number 2')
})

test('Bun runs examples/elysia on a server of its own', async () => {
  const script = join(installed.bunProject, 'elysia.mjs')
  await cp('examples/elysia/server.js', script)
  const { command } = runtimes.find(({ name }) => name === 'Bun')
  const { origins, stop } = await startExample(script, { command, env: { PORT: String(await freePort()) } })
  onTestFinished(stop)
  expect(await visitShop(origins[0])).toBeUndefined()
})
