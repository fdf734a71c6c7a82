import { describe, expect, test, vi } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { type Backend, ConfigError } from '../src/index.js'
import {
  backendLaws,
  faultNames,
  faultyBackend,
  type FaultOptions,
  type HistoryOptions,
  HistoryViolation,
  httpScenario,
  plainLaws,
  runHistory,
  type Serve,
  sweepLaws,
} from '../src/testing/index.js'
import { brokenAdapters, type RightAdapter } from './helpers/broken-adapters.js'

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
    expect(await messageAfterHalfAMinute({ read: () => new Promise(() => undefined) })).toMatch(
      /^read\(key 1, now \+0 ms\) was not answered within 30 seconds\n/,
    )
  })

  test('that a close never ends, as with a client that was not given back to its pool', async () => {
    expect(await messageAfterHalfAMinute({ close: () => new Promise(() => undefined) })).toMatch(
      /^close\(\) was not answered within 30 seconds\nclose resolves when /,
    )
  })
})

async function messageAfterHalfAMinute(flaw: Partial<Backend>): Promise<string> {
  vi.useFakeTimers()
  try {
    const message = messageOfLaw('an absent key reads as undefined', () => flaw)
    await vi.advanceTimersByTimeAsync(30_000)
    return await message
  } finally {
    vi.useRealTimers()
  }
}

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
    await expect(kit(() => undefined)[0]?.check()).rejects.toThrow(
      `${name}(): open has made undefined in place of a backend`,
    )
    await expect(kit(() => memory)[0]?.check()).rejects.toThrow(
      `${name}(): open has made a value of type function in place of a backend`,
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

  test('runHistory of what is no backend and makes none', async () => {
    const play = (open: unknown): Promise<unknown> => runHistory(open as Backend, { operations: 10 })
    await expect(play(undefined)).rejects.toThrow('runHistory(): it was passed undefined in place of a backend')
    await expect(play(() => undefined)).rejects.toThrow('runHistory(): open has made undefined in place of a backend')
    await expect(play({})).rejects.toThrow('a backend without read, create, replace, touch, delete')
  })

  const wrong: [HistoryOptions | object, string][] = [
    [{ operations: NaN }, 'operations must be a whole number of operations from 1 to 1000000000, not NaN'],
    [{ operations: 0 }, 'operations must be a whole number'],
    [{ clients: 0 }, 'clients must be a whole number'],
    [{ servers: 1.5 }, 'servers must be a whole number'],
    [{ seed: NaN }, 'seed must be a whole number'],
    [{ order: 'random' }, 'order must be one of seeded, real'],
    [{ faults: ['hang'] }, 'faults must be of faultNames, and "hang" is none of them'],
    [{ faults: 'hangs' }, 'faults must be a list'],
    [{ faultRate: 5 }, 'faultRate must be a number from 0 to 1, not 5'],
    [{ fault_rate: 0.1 }, 'fault_rate is not an option'],
  ]
  test.each(wrong)('runHistory with %j', async (options, message) => {
    await expect(runHistory(memory(), options)).rejects.toThrow(ConfigError)
    await expect(runHistory(memory(), options)).rejects.toThrow(message)
  })

  test('faultyBackend without a random, or with faults that there are not', () => {
    const options = { faults: ['hang'], rate: 2 } as unknown as FaultOptions
    expect(() => faultyBackend(memory(), options)).toThrow(
      'faultyBackend(): random is required, for example Math.random; faults must be of faultNames, and "hang" is none of them; rate must be a number from 0 to 1, not 2',
    )
  })
})

describe('a history', () => {
  test('takes a function that makes a backend later', async () => {
    const store = memory()
    await expect(runHistory(async () => store, { operations: 100 })).resolves.toMatchObject({
      operations: expect.any(Number),
    })
  })

  test('takes options that are undefined for those left out', async () => {
    const options = { operations: 100, faults: undefined, seed: undefined } as object
    await expect(runHistory(memory(), options)).resolves.toMatchObject({ faults: new Map() })
  })

  test('asks whether the servers share a store, where they do not', async () => {
    const violation = await runHistory(() => memory(), { seed: 1 }).catch((error: unknown) => error)
    expect(violation).toBeInstanceOf(HistoryViolation)
    expect(String(violation)).toMatch(/server \d has stored it: do all servers share a store, /)
  })

  test('tells a story whose columns are explained, and how to see it again', async () => {
    const violation = await runHistory(() => memory(), { seed: 1, faults: faultNames }).catch((error: unknown) => error)
    const { message, options } = violation as HistoryViolation
    const [columns, again] = message.split('\n').slice(-2)
    expect(columns).toMatch(/^\(First to last step, seconds on the clock of the servers/)
    expect(again).toBe(
      `To see it again: runHistory(open, { seed: ${options.seed}, operations: ${options.operations}, clients: ${options.clients}, faults: faultNames })`,
    )
  })

  test.each(['seeded', 'real'] as const)('in %s order names the call that is never answered', async (order) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const store = memory()
      const silent: Backend = {
        read: (...args) => store.read(...args),
        create: () => new Promise(() => undefined),
        replace: (...args) => store.replace(...args),
        touch: (...args) => store.touch(...args),
        delete: (key) => store.delete(key),
      }
      const history = runHistory(silent, { order, operations: 50 }).catch(String)
      const message = await Promise.race([history, passingTime(history)])
      expect(message).toMatch(/^NoAnswer: create by server \d was not answered within 30 seconds$/)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a case of the HTTP scenario that fails tells', () => {
  test('what was expected, where to read on, and what visitors asked and got', async () => {
    const adapter = brokenAdapters['a Set-Cookie that overwrites others']()
    const message = await messageOfCase(adapter, "the application's own cookies are sent beside ours")
    expect(message).toMatch(
      /\nMore: docs\/adapters\.md, "Common mistakes"\. This is asked of adapters with cookie: true\.\n/,
    )
    expect(message).toMatch(/\nWhat visitors asked, and what came:\n {2}GET \/\S*: 200, Set-Cookie for vishnu, ".*"$/)
  })

  test('that serve has started no server', async () => {
    const serves = [async () => undefined, async () => ({ origin: 'localhost:3000', close: async () => undefined })]
    for (const serve of serves as unknown as Serve[]) {
      await expect(httpScenario(serve)[0]?.check()).rejects.toThrow('serve must resolve to { origin, close }, with')
    }
  })

  test('that serve is no function, and options that there are not', () => {
    expect(() => httpScenario(undefined as unknown as Serve, { stream: false } as object)).toThrow(
      'httpScenario(): serve must be a function that starts a server, not undefined; stream is not an option',
    )
  })
})

async function messageOfCase({ serve }: RightAdapter, name: string): Promise<string> {
  const scenarioCase = httpScenario(serve).find((candidate) => candidate.name === name)
  return scenarioCase
    ? scenarioCase.check().then(
        () => 'it was kept',
        (error: unknown) => (error as Error).message,
      )
    : 'none'
}

/** Until it is settled. */
async function passingTime(pending: Promise<unknown>): Promise<never> {
  const settled = new AbortController()
  void pending.finally(() => settled.abort())
  while (!settled.signal.aborted) await vi.advanceTimersByTimeAsync(1000)
  return new Promise(() => undefined)
}
