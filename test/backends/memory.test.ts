import { describe, expect, test } from 'vitest'
import type { Backend, Entry } from '../../src/backend.js'
import { memory } from '../../src/backends/memory.js'
import { ConfigError } from '../../src/errors.js'
import { lawsOf } from '../helpers/laws.js'
import { isolatePackage } from '../helpers/isolated-package.js'

const now = Date.UTC(2026, 0, 1)
const later = now + 1000
const bytes = new TextEncoder().encode('value')
const newBytes = new TextEncoder().encode('new value')

describe('the memory backend keeps every law of backends:', () => {
  test.each(lawsOf(() => memory()))('%s', async (_, check) => expect(await check()).toBeUndefined())
})

describe('a full memory', () => {
  async function filled(deadlines: readonly number[]): Promise<Backend> {
    const backend = memory({ maxEntries: deadlines.length })
    for (const [index, deadline] of deadlines.entries()) await backend.create(`key ${index}`, bytes, deadline, now)
    return backend
  }

  test('refuses a new session and keeps every live one', async () => {
    const backend = await filled([later, later, later])
    const refusal = backend.create('one more', bytes, later, now)
    await expect(refusal).rejects.toMatchObject({ code: 'ERR_BACKEND_FULL', status: 503 })
    await expect(refusal).rejects.toThrow('maxEntries')
    expect(await backend.read('one more', now)).toBeUndefined()
    for (const key of ['key 0', 'key 1', 'key 2']) expect(await backend.read(key, now)).toMatchObject({ value: bytes })
  })

  test('makes room by dropping what has expired, and only that', async () => {
    const backend = await filled([later, later + 1, later, later + 1])
    for (const key of ['new 0', 'new 1'])
      expect(await backend.create(key, bytes, later + 1, later)).toBeTypeOf('object')
    await expect(backend.create('new 2', bytes, later + 1, later)).rejects.toMatchObject({ code: 'ERR_BACKEND_FULL' })
    for (const key of ['key 1', 'key 3', 'new 0', 'new 1']) expect(await backend.read(key, later)).toBeDefined()
  })

  test('drops what a touch has let expire early', async () => {
    const backend = await filled([later, later])
    await expect(backend.create('new', bytes, later, now)).rejects.toMatchObject({ code: 'ERR_BACKEND_FULL' })
    const entry = (await backend.read('key 0', now)) as Entry
    await backend.touch('key 0', entry, now + 1, now)
    expect(await backend.create('new', bytes, later, now + 1)).toBeTypeOf('object')
  })

  test('keeps what a touch has let live on', async () => {
    const backend = await filled([later, later])
    const entry = (await backend.read('key 0', now)) as Entry
    await backend.touch('key 0', entry, later + 1, now)
    await backend.create('new', bytes, later + 1, later)
    await expect(backend.create('more', bytes, later + 1, later)).rejects.toMatchObject({ code: 'ERR_BACKEND_FULL' })
    expect(await backend.read('key 0', later)).toBeDefined()
  })

  test('still replaces, touches and deletes what it holds, and answers exists', async () => {
    const backend = await filled([later])
    expect(await backend.create('key 0', bytes, later, now)).toBe('exists')
    const entry = (await backend.read('key 0', now)) as Entry
    const replaced = (await backend.replace('key 0', entry, newBytes, later, now)) as Entry
    expect(await backend.touch('key 0', replaced, later + 1, now)).toBe('touched')
    expect(await backend.read('key 0', later)).toMatchObject({ value: newBytes, deadline: later + 1 })
    await backend.delete('key 0')
    expect(await backend.create('key 1', bytes, later, now)).toBeTypeOf('object')
  })

  test('holds 100,000 sessions unless told otherwise', async () => {
    const backend = memory()
    for (let index = 0; index < 100_000; index++) await backend.create(`key ${index}`, bytes, later, now)
    await expect(backend.create('one more', bytes, later, now)).rejects.toMatchObject({ code: 'ERR_BACKEND_FULL' })
  })
})

test.each([0, -1, 1.5, NaN, Infinity, '10', null, true])(
  'memory({ maxEntries: %j }) is a configuration error',
  (value) => {
    const open = (): Backend => memory({ maxEntries: value as number })
    expect(open).toThrow(ConfigError)
    expect(open).toThrow('maxEntries must be a whole number from 1')
  },
)

test('an option that there is none of is a configuration error, and not a default that nobody chose', () => {
  const open = (): Backend => memory({ max_entries: 10 } as never)
  expect(open).toThrow(ConfigError)
  expect(open).toThrow('max_entries is not an option: did you mean maxEntries?')
})

test('a process that has made a memory backend and used it can end', async () => {
  const isolated = await isolatePackage()
  try {
    const printed = await isolated.run(`
      import { memory } from 'vishnu/backends/memory'
      const backend = memory()
      await backend.create('key', new Uint8Array(1), Date.now() + 60_000, Date.now())
      console.log(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length, 'timers')
    `)
    expect(printed).toBe('0 timers\n')
  } finally {
    await isolated.remove()
  }
})
