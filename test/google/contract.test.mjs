import { afterAll, describe, expect, inject, test } from 'vitest'
import { appEngineNdb } from '../../src/backends/app-engine-ndb.ts'
import { datastore } from '../../src/backends/datastore.ts'
import { vishnuPython } from '../../src/dialects/vishnu-python.ts'
import { faultNames, runHistory } from '../../src/testing/index.ts'
import { begin, newVisitor, startServer, valuesOf } from '../helpers/contract-requests.ts'
import { rounds } from '../helpers/contract-rounds.ts'
import { emulatorNames } from './helpers/emulators.mjs'
import { newNamespace } from './helpers/raw-entities.mjs'

// What the contract says, on the slow emulators: less of it than on the other backends. More on demand.
const operations = Number(process.env.HISTORY_OPERATIONS ?? 300)
const seed = Number(process.env.HISTORY_SEED ?? 1)
const timeout = 60_000 + operations * 100

/** Milliseconds. A busy machine is no outage. */
const backendTimeout = 30_000

const ways = emulatorNames.flatMap((emulator) => [
  { name: `datastore() on ${emulator}`, emulator, make: datastore, options: {} },
  {
    name: `appEngineNdb() on ${emulator}`,
    emulator,
    make: appEngineNdb,
    options: { dialect: vishnuPython({ format: 'ndb' }) },
  },
])

const opened = []
afterAll(() => Promise.all(opened.map((backend) => backend.close())))

/** Further servers' ways to one store. */
function sharedStore({ emulator, make }) {
  const namespace = newNamespace()
  return () => {
    const apiEndpoint = inject('hosts')[emulator]
    const backend = make({ projectId: 'test', namespace, apiEndpoint, timeout: backendTimeout })
    opened.push(backend)
    return backend
  }
}

describe.skipIf(inject('sdk').missing).each(ways)('$name', { timeout }, (way) => {
  test('two requests on two servers that change different keys at the same time both win, 100 times', async () => {
    const connect = sharedStore(way)
    const events = new Set()
    const onEvent = ({ type }) => events.add(type)
    const options = { autoSave: true, onEvent, backendTimeout, ...way.options }
    const [one, other] = [startServer(connect(), options), startServer(connect(), options)]
    const wrong = []
    await rounds(100, 20, async (round) => {
      const cookie = await newVisitor(one, { x: 'old', y: 'old' })
      const requests = await Promise.all([begin(one, cookie), begin(other, cookie)])
      requests[0].session.set('x', 'new')
      requests[1].session.delete('y')
      const inOrder = round % 2 === 0 ? requests : requests.toReversed()
      await Promise.all(inOrder.map(({ respond }) => respond()))
      const values = await valuesOf(other, cookie)
      if (values.x !== 'new' || 'y' in values) wrong.push({ round, values })
    })
    expect(wrong).toEqual([])
    expect([...events]).toEqual(['conflict'])
  })

  test('4 loops of 25 updates on two servers at once all resolve, and none is lost', async () => {
    const connect = sharedStore(way)
    const servers = [1, 2].map(() => startServer(connect(), { backendTimeout, ...way.options }))
    const cookie = await newVisitor(servers[0], { count: 0 })
    const requests = await Promise.all([0, 1, 0, 1].map((index) => begin(servers[index], cookie)))
    await Promise.all(
      requests.map(async ({ session }) => {
        for (let done = 0; done < 25; done++) await session.update('count', (count) => count + 1)
      }),
    )
    expect(await valuesOf(servers[0], cookie)).toEqual({ count: 100 })
  })

  test('a session that was logged out is not brought back by slower requests', async () => {
    const connect = sharedStore(way)
    const [one, other] = [1, 2].map(() => startServer(connect(), { autoSave: true, backendTimeout, ...way.options }))
    await rounds(20, 10, async () => {
      const cookie = await newVisitor(one, { user: 'anna' })
      const slow = await begin(other, cookie)
      slow.session.set('late', true)
      const { session, respond } = await begin(one, cookie)
      await Promise.all([session.terminate(), slow.respond()])
      await respond()
      expect(await valuesOf(one, cookie)).toEqual({})
    })
  })
})

describe.skipIf(inject('sdk').missing).each(ways)('histories with $name', { timeout }, (way) => {
  test.each([
    { what: 'nothing goes wrong', faults: [] },
    { what: 'calls fail, hang, arrive late or twice, and replies are mixed up', faults: faultNames },
  ])('keep every promise while $what', async ({ faults }) => {
    const report = await runHistory(sharedStore(way), {
      operations,
      faults,
      order: 'real',
      seed,
      faultRate: 0.1,
      ...way.options,
    })
    expect(report.operations).toBeGreaterThanOrEqual(operations)
    expect(report.faults.size).toBeGreaterThanOrEqual(Math.min(faults.length, 3))
  })
})
