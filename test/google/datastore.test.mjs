import { afterEach, describe, expect, inject, test, vi } from 'vitest'
import { datastore } from '../../src/backends/datastore.ts'
import { backendLaws } from '../../src/testing/backend-laws.ts'
import { sweepLaws } from '../../src/testing/sweep-laws.ts'
import { World } from '../helpers/unit-world.ts'
import { emulatorNames } from './helpers/emulators.mjs'
import { newNamespace, rawEntities, time } from './helpers/raw-entities.mjs'

const KIND = 'VishnuNativeSession'
const [NOW, HOUR, DAY] = [1_700_000_000_000, 3_600_000, 86_400_000]
const VALUE = Buffer.from('value')

const closers = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

function closed(backend) {
  closers.push(() => backend.close())
  return backend
}

describe.skipIf(inject('sdk').missing).each(emulatorNames)('datastore() on %s', (name) => {
  const host = () => inject('hosts')[name]
  const options = (namespace) => ({ projectId: 'test', namespace, apiEndpoint: host(), timeout: 30_000 })
  const open = (namespace = newNamespace()) => closed(datastore(options(namespace)))
  const raw = (namespace, kind = KIND) => closed(rawEntities(host(), kind, namespace))
  const world = (backend) => new World({ backend, autoSave: true, backendTimeout: 30_000 })

  test.concurrent.each(backendLaws(() => datastore(options('laws'))))('$name', async ({ check }) => {
    expect(await check()).toBeUndefined()
  })
  test.each(sweepLaws(() => datastore(options(newNamespace()))))('$name', async ({ check }) => {
    expect(await check()).toBeUndefined()
  })

  test('each operation is one call, and a clean-up of any number of sessions two and one for each', async () => {
    const client = closed(rawEntities(host(), KIND)).client
    const backend = closed(datastore({ client, projectId: 'test', namespace: newNamespace(), timeout: 30_000 }))
    const calls = ['lookup', 'commit', 'runQuery'].map((method) => vi.spyOn(client, method))
    const counted = async (operation) => {
      for (const call of calls) call.mockClear()
      const outcome = await operation()
      return [outcome, ...calls.map((call) => call.mock.calls.length)]
    }
    const [created, ...forCreate] = await counted(() => backend.create('key', VALUE, NOW + HOUR, NOW))
    const [replaced, ...forReplace] = await counted(() => backend.replace('key', created, VALUE, NOW + HOUR, NOW))
    const [touched, ...forTouch] = await counted(() => backend.touch('key', replaced, NOW + DAY, NOW))
    const [found, ...forRead] = await counted(() => backend.read('key', NOW))
    expect([touched, found.deadline]).toEqual(['touched', NOW + DAY])
    expect([forCreate, forReplace, forTouch, forRead]).toEqual([
      [0, 1, 0],
      [0, 1, 0],
      [0, 1, 0],
      [1, 0, 0],
    ])
    for (let index = 0; index < 5; index++) await backend.create(`${index}`, VALUE, NOW, NOW - 1)
    const [swept, ...forSweep] = await counted(() => backend.sweep({ now: NOW, dormantBefore: 0 }, 100))
    expect([swept, forSweep]).toEqual([{ deleted: 5, done: true }, [1, 5, 1]])
  })

  test('`expires`, for a TTL policy, is a day after the end, so that no clock can make Datastore come early', async () => {
    const namespace = newNamespace()
    await open(namespace).create('key', VALUE, NOW + 1, NOW)
    const stored = raw(namespace)
    const [key] = await stored.names()
    const { timestampValue } = (await stored.get(key)).expires
    expect(Number(timestampValue.seconds) * 1000 + timestampValue.nanos / 1e6).toBe(NOW + 1 + DAY)
  })

  test('trap 1: an entity whose `expires` is null or missing is swept by no clean-up', async () => {
    const namespace = newNamespace()
    const backend = open(namespace)
    const stored = raw(namespace)
    await stored.put('null', { expires: time(null) })
    await stored.put('missing', {})
    await backend.create('key', VALUE, NOW, NOW - 1)
    expect(await backend.countExpired({ now: Date.now(), dormantBefore: 0 })).toBe(1)
    expect(await world(backend).sessions.deleteExpiredSessions()).toBe(true)
    expect(await stored.names()).toEqual(['missing', 'null'])
  })

  test('trap 5: nothing but `expires` is indexed, so that a value may have more than 1,500 bytes', async () => {
    const namespace = newNamespace()
    await open(namespace).create('key', Buffer.alloc(100_000, 'x'), NOW + HOUR, NOW)
    const stored = raw(namespace)
    const [key] = await stored.names()
    const properties = Object.entries(await stored.get(key))
    const indexed = properties.filter(([, { excludeFromIndexes }]) => !excludeFromIndexes).map(([property]) => property)
    expect([properties.length, indexed]).toEqual([3, ['expires']])
  })

  test.each([
    { step: 'query', method: 'runQuery' },
    { step: 'second look', method: 'lookup' },
  ])('a session that is renewed between the $step of a clean-up and its removal stays', async ({ method }) => {
    const client = raw().client
    const backend = closed(datastore({ client, projectId: 'test', namespace: newNamespace(), timeout: 30_000 }))
    const entry = await backend.create('key', VALUE, NOW, NOW - 1)
    const call = client[method].bind(client)
    client[method] = async (...args) => {
      client[method] = call
      const outcome = await call(...args)
      // To a server whose clock is behind the session is live still.
      expect(await backend.touch('key', entry, NOW + HOUR, NOW - 1)).toBe('touched')
      return outcome
    }
    expect(await backend.sweep({ now: NOW, dormantBefore: 0 }, 100)).toEqual({ deleted: 0, done: true })
    expect(await backend.read('key', NOW)).toMatchObject({ deadline: NOW + HOUR })
  })

  test('a clean-up removes the sessions that are over, and no others', async () => {
    const namespace = newNamespace()
    const site = new World({ backend: open(namespace), autoSave: true, backendTimeout: 30_000, timeout: 60 })
    const early = await site.visitorWith({ user: 'anna' })
    site.clock.advance(60_000)
    const late = await site.visitorWith({ user: 'otto' })
    expect(await site.sessions.deleteExpiredSessions()).toBe(true)
    expect(await raw(namespace).names()).toHaveLength(1)
    expect([await early.read('user'), await late.read('user')]).toEqual([undefined, 'otto'])
  })

  test('an entity that this backend has not written is in the way, is left as it is, and is no session', async () => {
    const namespace = newNamespace()
    const backend = open(namespace)
    const stored = raw(namespace)
    await backend.create('key', VALUE, NOW + HOUR, NOW)
    const [key] = await stored.names()
    await stored.put(key, { value: { stringValue: 'text' } })
    expect(await backend.read('key', NOW)).toEqual({ value: new Uint8Array() })
    expect(await backend.create('key', VALUE, NOW + HOUR, NOW)).toBe('exists')
    expect(await stored.get(key)).toMatchObject({ value: { stringValue: 'text' } })
  })

  test('namespaces, databases and kinds have nothing in common', async () => {
    const namespace = newNamespace()
    await open(namespace).create('key', VALUE, NOW + HOUR, NOW)
    const others = [{ namespace: newNamespace() }, { databaseId: 'other' }, { kind: 'Other' }]
    for (const other of others) {
      const backend = closed(datastore({ ...options(namespace), ...other }))
      expect(await backend.read('key', NOW)).toBe(undefined)
    }
    expect((await open(namespace).read('key', NOW)).value).toEqual(VALUE)
  })

  test('the emulator and its project are found by the variables that Google has for them', async () => {
    vi.stubEnv('DATASTORE_EMULATOR_HOST', host())
    vi.stubEnv('DATASTORE_PROJECT_ID', 'from-the-environment')
    closers.push(() => vi.unstubAllEnvs())
    const namespace = newNamespace()
    const backend = closed(datastore({ namespace, timeout: 30_000 }))
    await backend.create('key', VALUE, NOW + HOUR, NOW)
    expect(await closed(rawEntities(host(), KIND, namespace, 'from-the-environment')).names()).toHaveLength(1)
  })

  test('what Datastore refuses for good is an error of ours that is not tried again', async () => {
    const tooLong = Buffer.alloc(1_100_000)
    await expect(open().create('key', tooLong, NOW + HOUR, NOW)).rejects.toMatchObject({
      code: 'ERR_BACKEND',
      message: expect.stringContaining('INVALID_ARGUMENT'),
    })
  })

  test('a client that was passed stays open when the backend is closed, and its own is closed', async () => {
    const client = raw().client
    const passed = datastore({ client, projectId: 'test', timeout: 30_000 })
    await passed.read('key', NOW)
    await passed.close()
    expect(await passed.read('key', NOW)).toBe(undefined)
    const own = datastore(options())
    await own.read('key', NOW)
    await own.close()
    await expect(own.read('key', NOW)).rejects.toThrow('closed')
  })
})
