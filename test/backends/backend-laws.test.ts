import { runInNewContext } from 'node:vm'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import type { Backend, Entry, Sweepable } from '../../src/backend.js'
import { memory } from '../../src/backends/memory.js'
import { backendLaws } from '../../src/testing/backend-laws.js'
import { lawsOf } from '../helpers/laws.js'

describe('the laws of backends', () => {
  test('have names of their own', () => {
    const names = backendLaws(() => memory()).map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
  })

  test('close what they opened, even after a failure', async () => {
    let open = 0
    const backend = (): Backend => {
      open++
      return flawed(memory(), { read: () => Promise.reject(new Error('down')), close: async () => void open-- })
    }
    for (const law of backendLaws(backend)) await law.check().catch(() => undefined)
    expect(open).toBe(0)
  })

  test('hold for a backend whose writes do not tell the new version', async () => {
    const withoutVersion = async <T>(outcome: Promise<T>): Promise<T> => {
      const { version: _, ...entry } = (await outcome) as Entry
      return typeof (await outcome) === 'string' ? outcome : (entry as T)
    }
    const open = (): Backend => {
      const real = memory()
      return flawed(real, {
        create: (...args) => withoutVersion(real.create(...args)),
        replace: (...args) => withoutVersion(real.replace(...args)),
      })
    }
    await expect(Promise.all(backendLaws(open).map((law) => law.check()))).resolves.toBeDefined()
  })

  test('hold under jest, where structuredClone makes objects of another realm', async () => {
    const foreign = runInNewContext('(value) => Object.assign({}, value)') as typeof structuredClone
    vi.stubGlobal('structuredClone', foreign)
    try {
      await expect(Promise.all(backendLaws(() => memory()).map((law) => law.check()))).resolves.toBeDefined()
    } finally {
      vi.unstubAllGlobals()
    }
  })

  test('try no value that is longer than the backend takes', async () => {
    const open = (): Backend => {
      const real = memory()
      const check = (value: Uint8Array): void => {
        if (value.length > 1000) throw new RangeError('too long')
      }
      return flawed(real, {
        maxBytes: 1000,
        create: async (...args) => (check(args[1]), real.create(...args)),
        replace: async (...args) => (check(args[2]), real.replace(...args)),
      })
    }
    await expect(Promise.all(backendLaws(open).map((law) => law.check()))).resolves.toBeDefined()
  })

  describe('notice', () => {
    const noticedBy = new Map<string, string[]>()
    beforeAll(async () => {
      for (const [name, flaw] of Object.entries(flaws())) {
        const open = (): Backend => {
          const real = memory()
          return flawed(real, flaw(real))
        }
        const laws = backendLaws(open)
        const outcomes = await Promise.allSettled(laws.map((law) => law.check()))
        const broken = laws.filter((_, index) => outcomes[index]?.status === 'rejected')
        noticedBy.set(
          name,
          broken.map((law) => law.name),
        )
      }
    })

    test.each(Object.keys(flaws()))('a backend that %s', (name) => {
      expect(noticedBy.get(name)).not.toEqual([])
    })

    test.each(lawsOf(() => memory()))('such a backend by this law: %s', (name) => {
      expect([...noticedBy.values()].flat()).toContain(name)
    })
  })
})

function flawed(backend: Backend, flaw: Partial<Backend>): Backend {
  return {
    read: (...args) => backend.read(...args),
    create: (...args) => backend.create(...args),
    replace: (...args) => backend.replace(...args),
    touch: (...args) => backend.touch(...args),
    delete: (...args) => backend.delete(...args),
    ...flaw,
  }
}

/** Each is a bug that a session store somewhere has had. */
function flaws(): Record<string, (real: Backend) => Partial<Backend>> {
  const isLive = async (real: Backend, key: string, at: number): Promise<boolean> => {
    const entry = await real.read(key, at)
    await new Promise(setImmediate)
    return entry !== undefined
  }
  const withClock = (real: Backend, clock: (now: number) => number): Partial<Backend> => ({
    read: (key, at) => real.read(key, clock(at)),
    create: (key, value, deadline, at) => real.create(key, value, deadline, clock(at)),
    replace: (key, entry, value, deadline, at) => real.replace(key, entry, value, deadline, clock(at)),
    touch: (key, entry, deadline, at) => real.touch(key, entry, deadline, clock(at)),
  })
  const withDeadline = (real: Backend, change: (deadline: number, now: number) => number): Partial<Backend> => ({
    create: (key, value, deadline, at) => real.create(key, value, change(deadline, at), at),
    replace: (key, entry, value, deadline, at) => real.replace(key, entry, value, change(deadline, at), at),
    touch: (key, entry, deadline, at) => real.touch(key, entry, change(deadline, at), at),
  })
  const withValue = (real: Backend, change: (value: Uint8Array) => Uint8Array): Partial<Backend> => ({
    create: (key, value, ...times) => real.create(key, change(value), ...times),
    replace: (key, entry, value, ...times) => real.replace(key, entry, change(value), ...times),
  })
  const withKey = (real: Backend, change: (key: string) => string): Partial<Backend> => ({
    read: (key, at) => real.read(change(key), at),
    create: (key, ...rest) => real.create(change(key), ...rest),
    replace: (key, ...rest) => real.replace(change(key), ...rest),
    touch: (key, ...rest) => real.touch(change(key), ...rest),
    delete: (key) => real.delete(change(key)),
  })

  return {
    'calls an absent key an error': (real) => ({
      read: async (key, at) => {
        const entry = await real.read(key, at)
        if (entry === undefined) throw new Error('not found')
        return entry
      },
      delete: async (key) => {
        if (!(await isLive(real, key, 0))) throw new Error('not found')
        return real.delete(key)
      },
    }),
    'takes an outage for an absent entry': (real) => {
      let isClosed = false
      return {
        read: async (...args) => (isClosed ? undefined : real.read(...args)),
        close: async () => void (isClosed = true),
      }
    },
    'stores nothing': () => ({ create: async (_, value) => ({ value, version: 1 }) }),
    'creates over a live entry': (real) => ({
      create: async (key, ...rest) => {
        await real.delete(key)
        return real.create(key, ...rest)
      },
    }),
    'looks before it creates': (real) => ({
      create: async (key, value, deadline, at) => {
        if (await isLive(real, key, at)) return 'exists'
        await real.delete(key)
        return real.create(key, value, deadline, at)
      },
    }),
    'does not create over an expired entry': (real) => ({
      create: async (key, value, deadline, at) =>
        (await isLive(real, key, 0)) ? 'exists' : real.create(key, value, deadline, at),
    }),
    'replaces whatever the version': (real) => ({
      replace: async (key, entry, value, deadline, at) =>
        real.replace(key, (await real.read(key, at)) ?? entry, value, deadline, at),
    }),
    'looks before it replaces': (real) => ({
      replace: async (key, entry, value, deadline, at) => {
        const found = await real.read(key, at)
        await new Promise(setImmediate)
        if (!found) return 'gone'
        if (found.version !== entry.version) return 'conflict'
        await real.delete(key)
        return real.create(key, value, deadline, at) as Promise<Entry>
      },
    }),
    'creates when it should replace': (real) => ({
      replace: async (key, entry, value, deadline, at) => {
        const outcome = await real.replace(key, entry, value, deadline, at)
        return outcome === 'gone' ? (real.create(key, value, deadline, at) as Promise<Entry>) : outcome
      },
    }),
    'calls a conflict gone': (real) => ({
      replace: async (...args) => {
        const outcome = await real.replace(...args)
        return outcome === 'conflict' ? 'gone' : outcome
      },
    }),
    'forgets the new deadline of a replace': (real) => ({
      replace: async (key, entry, value, _, at) =>
        real.replace(key, entry, value, (await real.read(key, at))?.deadline ?? 0, at),
    }),
    'counts versions from one in each life of a key': (real) => {
      const lives = new Map<string, unknown[]>()
      const outward = (key: string, entry: Entry): Entry => {
        const versions = lives.get(key) ?? []
        lives.set(key, versions)
        if (!versions.includes(entry.version)) versions.push(entry.version)
        return { ...entry, version: versions.indexOf(entry.version) }
      }
      const inward = (key: string, entry: Entry): Entry => {
        const version = lives.get(key)?.[entry.version as number]
        return { ...entry, version: version as number }
      }
      return {
        read: async (key, at) => {
          const entry = await real.read(key, at)
          return entry && outward(key, entry)
        },
        create: async (key, ...rest) => {
          const entry = await real.create(key, ...rest)
          if (typeof entry === 'string') return entry
          lives.delete(key)
          return outward(key, entry)
        },
        replace: async (key, old, ...rest) => {
          const entry = await real.replace(key, inward(key, old), ...rest)
          return typeof entry === 'string' ? entry : outward(key, entry)
        },
        touch: (key, entry, ...rest) => real.touch(key, inward(key, entry), ...rest),
      }
    },
    'touches whatever the version': (real) => ({
      touch: async (key, entry, deadline, at) => real.touch(key, (await real.read(key, at)) ?? entry, deadline, at),
    }),
    'touches by writing the values again': (real) => ({
      touch: async (key, entry, deadline, at) => {
        const outcome = await real.replace(key, entry, entry.value, deadline, at)
        return typeof outcome === 'string' ? outcome : 'touched'
      },
    }),
    'does not touch': () => ({ touch: async () => 'touched' }),
    'touches only forwards': (real) => ({
      touch: async (key, entry, deadline, at) =>
        deadline < ((await real.read(key, at))?.deadline ?? 0) ? 'touched' : real.touch(key, entry, deadline, at),
    }),
    'revives by a touch': (real) => ({
      touch: (key, entry, deadline) => real.touch(key, entry, deadline, 0),
    }),
    'deletes nothing': () => ({ delete: async () => undefined }),
    'keeps an entry for a millisecond too long': (real) => withClock(real, (at) => at - 1),
    'drops an entry a millisecond too early': (real) => withClock(real, (at) => at + 1),
    'goes by a clock of its own': (real) => withClock(real, () => Date.now()),
    'goes by a clock of its own in reads': (real) => ({ read: (key) => real.read(key, Date.now()) }),
    'keeps deadlines in seconds': (real) => withDeadline(real, (deadline) => Math.ceil(deadline / 1000) * 1000),
    'takes 31 days for a date in 1970': (real) =>
      withDeadline(real, (deadline, at) => (deadline - at > 30 * 86_400_000 ? 0 : deadline)),
    'lets nothing live for longer than a year': (real) =>
      withDeadline(real, (deadline, at) => Math.min(deadline, at + 366 * 86_400_000)),
    'tells no deadline': (real) => ({
      read: async (key, at) => {
        const { deadline: _, ...entry } = (await real.read(key, at)) ?? {}
        return 'value' in entry ? entry : undefined
      },
    }),
    'stores text': (real) => withValue(real, (value) => Buffer.from(Buffer.from(value).toString())),
    'stores trimmed text': (real) => withValue(real, (value) => Buffer.from(Buffer.from(value).toString().trim())),
    'cuts off at a NUL': (real) => withValue(real, (value) => value.subarray(0, value.indexOf(0) >>> 0)),
    'stores the whole buffer behind a view': (real) => withValue(real, (value) => new Uint8Array(value.buffer)),
    'cuts off after 64,000 bytes': (real) => withValue(real, (value) => value.subarray(0, 64_000)),
    'cuts off after 999,999 bytes': (real) => withValue(real, (value) => value.subarray(0, 999_999)),
    'hands out the same buffer to everybody': (real) => {
      const handedOut = new Map<unknown, Entry>()
      return {
        read: async (key, at) => {
          const entry = await real.read(key, at)
          const known = handedOut.get(entry?.version)
          if (entry) handedOut.set(entry.version, known ?? entry)
          return entry && { ...entry, value: known?.value ?? entry.value }
        },
      }
    },
    'keeps the buffer it was given': (real) => {
      const given = new Map<unknown, Uint8Array>()
      const keep = async <T>(value: Uint8Array, outcome: Promise<T>): Promise<T> => {
        const entry = await outcome
        if (typeof entry === 'object') given.set((entry as Entry).version, value)
        return entry
      }
      return {
        create: (key, value, ...rest) => keep(value, real.create(key, value, ...rest)),
        replace: (key, entry, value, ...rest) => keep(value, real.replace(key, entry, value, ...rest)),
        read: async (key, at) => {
          const entry = await real.read(key, at)
          return entry && { ...entry, value: given.get(entry.version) ?? entry.value }
        },
      }
    },
    'wipes the buffer it was given': (real) => ({
      create: async (key, value, ...rest) => {
        const entry = await real.create(key, value, ...rest)
        value.fill(0)
        return entry
      },
    }),
    'is of another layout': () => ({ layout: 'plain' }) as unknown as Partial<Backend>,
    'takes a byte less than it says': (real) => ({
      ...withValue(real, (value) => value.subarray(0, 4_999)),
      maxBytes: 5_000,
    }),
    'sweeps nothing': (): Partial<Backend & Sweepable> => ({
      sweep: async () => ({ deleted: 0, done: true }),
      countExpired: async () => 0,
    }),
    'drops the oldest of more than a hundred': (real) => {
      const created: string[] = []
      return {
        create: async (key, ...rest) => {
          if (created.push(key) > 100) await real.delete(created.shift() ?? '')
          return real.create(key, ...rest)
        },
      }
    },
    'lets one touch at a time through': (real) => {
      let touching = false
      return {
        touch: async (...args) => {
          if (touching) return 'conflict'
          touching = true
          await new Promise(setImmediate)
          touching = false
          return real.touch(...args)
        },
      }
    },
    'keeps dates without their time zone': (real) => ({
      ...withDeadline(real, (deadline) => deadline - new Date(deadline).getTimezoneOffset() * 60_000),
      read: async (key, at) => {
        const entry = await real.read(key, at)
        if (entry?.deadline === undefined) return entry
        const deadline = entry.deadline + new Date(entry.deadline).getTimezoneOffset() * 60_000
        return deadline > at ? { ...entry, deadline } : undefined
      },
    }),
    'takes keys of digits for numbers': (real) =>
      withKey(real, (key) => (/^\d+$/.test(key) ? String(Number(key)) : key)),
    'folds the case of keys': (real) => withKey(real, (key) => key.toLowerCase()),
    'drops marks from keys': (real) => withKey(real, (key) => key.replaceAll(/[-_]/g, '')),
  }
}
