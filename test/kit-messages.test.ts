import { describe, expect, test, vi } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { type Backend, ConfigError } from '../src/index.js'
import { backendLaws, plainLaws, sweepLaws } from '../src/testing/index.js'

// What somebody is told who writes a backend, makes a mistake, and has never seen this library's source.

const UPSERT = 'create answers exists for a live entry and changes nothing'

describe('a broken law tells', () => {
  test('what was expected, what to do, where to read on, and the calls with their answers', async () => {
    const message = await messageOfLaw(UPSERT, (real) => ({
      create: async (key, value, deadline, now) => {
        await real.delete(key)
        return real.create(key, value, deadline, now)
      },
    }))
    const lines = message.replaceAll(/version [^,]*/g, 'version _').split('\n')
    expect(lines).toEqual([
      'expected the answer exists, but it was an entry',
      expect.stringMatching(/^create stores where no live entry is, .* docs\/backends\.md, "Common mistakes"\./),
      'What was called, times counted from the start of the law, and what came:',
      '  create(key 1, "first" (5 bytes), deadline +3600000 ms, now +0 ms): "first" (5 bytes), version _, deadline +3600000 ms',
      '  create(key 1, "second" (6 bytes), deadline +7200000 ms, now +0 ms): "second" (6 bytes), version _, deadline +7200000 ms',
    ])
  })

  test('a deadline that is a text, as clients give 64-bit integers', async () => {
    const message = await messageOfLaw('what was created is read back, with its deadline', (real) => ({
      read: async (key, now) => {
        const entry = await real.read(key, now)
        return entry && { ...entry, deadline: String(entry.deadline) as unknown as number }
      },
    }))
    expect(message).toMatch(/^expected read to tell the deadline \d+, a number, but it told the text "\d+"\n/)
  })

  test('what the backend itself rejected with, and keeps that as the cause', async () => {
    const down = new Error('too many clients already')
    const law = lawOf(UPSERT, () => ({ create: () => Promise.reject(down), close: async () => undefined }))
    await expect(law).rejects.toMatchObject({
      message: expect.stringMatching(/^too many clients already\n[^]*: rejected: too many clients already$/) as string,
      cause: down,
    })
    await expect(law).rejects.not.toThrow('no close()')
  })

  test('that a backend without close may leave connections open', async () => {
    expect(await messageOfLaw(UPSERT, () => ({ create: () => Promise.reject(new Error('down')) }))).toContain(
      'This backend has no close(), and each law opens one',
    )
  })

  test('which call is never answered, and does not hang with it', async () => {
    vi.useFakeTimers()
    try {
      const message = messageOfLaw('an absent key reads as undefined', () => ({
        read: () => new Promise(() => undefined),
      }))
      await vi.advanceTimersByTimeAsync(30_000)
      expect(await message).toMatch(/^read\(key 1, now \+0 ms\) was not answered within 30 seconds\n/)
    } finally {
      vi.useRealTimers()
    }
  })

  test('that a close never ends, as with a client that was not given back to its pool', async () => {
    vi.useFakeTimers()
    try {
      const message = messageOfLaw('an absent key reads as undefined', () => ({
        close: () => new Promise(() => undefined),
      }))
      await vi.advanceTimersByTimeAsync(30_000)
      expect(await message).toMatch(/^close\(\) was not answered within 30 seconds\nclose resolves when /)
    } finally {
      vi.useRealTimers()
    }
  })
})

async function messageOfLaw(name: string, flaw: (real: Backend) => Partial<Backend>): Promise<string> {
  return lawOf(name, flaw).then(
    () => 'the law was kept',
    (error: unknown) => (error as Error).message,
  )
}

function lawOf(name: string, flaw: (real: Backend) => Partial<Backend>): Promise<void> {
  const open = (): Backend => {
    const real = memory()
    return {
      read: (...args) => real.read(...args),
      create: (...args) => real.create(...args),
      replace: (...args) => real.replace(...args),
      touch: (...args) => real.touch(...args),
      delete: (key) => real.delete(key),
      ...flaw(real),
    }
  }
  const law = backendLaws(open).find((candidate) => candidate.name === name)
  return law ? law.check() : Promise.reject(new Error(`There is no law ${name}`))
}

describe('wrong use of the kit is told at once', () => {
  const other = { read: async () => undefined, write: async () => undefined }
  const kits = {
    backendLaws: (open: unknown) => backendLaws(open as () => Backend),
    sweepLaws: (open: unknown) => sweepLaws(open as () => Backend),
    plainLaws: (open: unknown) => plainLaws(open as () => never, other),
  }

  test.each(Object.entries(kits))('%s of a backend in place of a function', (name, kit) => {
    expect(() => kit(memory())).toThrow(ConfigError)
    expect(() => kit(memory())).toThrow(
      `${name}(): open must be a function that makes a backend, not a backend: ${name}(() => myBackend())`,
    )
    expect(() => kit(undefined)).toThrow(`${name}(): open must be a function that makes a backend, not undefined`)
  })

  test.each(Object.entries(kits))('%s of a function that makes no backend', async (name, kit) => {
    await expect(kit(() => undefined)[0]?.check()).rejects.toThrow(`${name}(): open must make a backend, not undefined`)
    await expect(kit(() => memory)[0]?.check()).rejects.toThrow(
      `${name}(): open must make a backend, not a value of type function`,
    )
    const half = { read: async () => undefined, create: async () => 'exists' }
    await expect(kit(() => half)[0]?.check()).rejects.toThrow(
      `${name}(): open has made a backend without replace, touch, delete`,
    )
  })

  test('options of the laws that there are not', () => {
    const options = { longest: 5, longestValue: -1, evict: true } as object
    expect(() => backendLaws(() => memory(), options)).toThrow(
      'backendLaws(): longestValue must be a whole number of bytes from 1 to 1073741824, not -1; evict must be a function; longest is not an option',
    )
  })
})
