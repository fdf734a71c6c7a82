import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { Backend, Entry, Sweepable } from '../backend.js'
import { isSweepable } from '../sweep.js'
import type { BackendLaw } from './backend-laws.js'
import { checkOpen, openBackend } from './opening.js'

/**
 * What every {@link Sweepable} backend must do besides the laws of a backend. For a backend of your own, with any runner:
 *
 * ```ts
 * import { test } from 'node:test'
 * import { sweepLaws } from 'vishnu/testing'
 *
 * for (const law of sweepLaws(() => myBackend())) test(law.name, law.check)
 * ```
 *
 * `open` is called anew for each law, and what it returns is closed after the law. A sweep concerns all that is stored, so
 * each time there has to be an empty store that nobody else uses.
 *
 * @throws `ERR_CONFIG` if `open` is no function.
 */
export function sweepLaws(open: () => Promise<Backend> | Backend): BackendLaw[] {
  checkOpen('sweepLaws', open)
  return Object.entries(laws).map(([name, law]) => ({
    name,
    check: async () => {
      const backend = await openBackend('sweepLaws', open)
      try {
        assert.ok(isSweepable(backend), 'the backend has no sweep and countExpired')
        await law(new Store(backend))
      } finally {
        await backend.close?.()
      }
    },
  }))
}

const NOW = 1_500_000_000_000
const HOUR = 3_600_000
const UNLIMITED = 1000

const laws: Readonly<Record<string, (store: Store) => Promise<void>>> = {
  'a sweep removes what is at its deadline and leaves what has a millisecond left': async (store) => {
    const [over, atDeadline, live] = [await store.add(-1), await store.add(0), await store.add(1)]
    await store.sweeps(UNLIMITED, { deleted: 2, done: true })
    await store.lacks(over, atDeadline)
    await store.holds(live)
  },
  'a sweep of nothing is done': async (store) => {
    await store.sweeps(UNLIMITED, { deleted: 0, done: true })
    await store.add(1)
    await store.sweeps(UNLIMITED, { deleted: 0, done: true })
  },
  'an entry with a deadline is never dormant': async (store) => {
    const live = await store.add(HOUR)
    await store.sweeps(UNLIMITED, { deleted: 0, done: true }, NOW + HOUR)
    await store.holds(live)
  },
  'a sweep removes no more than its limit, and says whether anything is left': async (store) => {
    // The last is over just now, in whichever order they are removed.
    for (let count = 4; count >= 0; count--) await store.add(-count)
    const live = await store.add(1)
    assert.equal(await store.count(), 5)
    await store.sweeps(2, { deleted: 2, done: false })
    assert.equal(await store.count(), 3)
    await store.sweeps(2, { deleted: 2, done: false })
    await store.sweeps(1, { deleted: 1, done: true })
    assert.equal(await store.count(), 0)
    await store.holds(live)
  },
  'a sweep goes by the deadline as it was last moved': async (store) => {
    const [later, sooner, rewritten] = [await store.add(-HOUR), await store.add(HOUR), await store.add(-HOUR)]
    const before = NOW - 2 * HOUR
    assert.equal(await store.backend.touch(later.key, later.entry, NOW + 1, before), 'touched')
    assert.equal(await store.backend.touch(sooner.key, sooner.entry, NOW, before), 'touched')
    const replaced = await store.backend.replace(rewritten.key, rewritten.entry, VALUE, NOW + 1, before)
    assert.equal(typeof replaced, 'object')
    await store.sweeps(UNLIMITED, { deleted: 1, done: true })
    await store.lacks(sooner)
    await store.holds(later)
    await store.holds(rewritten)
  },
  'what was swept is gone, and its key can be used again': async (store) => {
    const { key, entry } = await store.add(0)
    await store.sweeps(UNLIMITED, { deleted: 1, done: true })
    assert.equal(await store.backend.replace(key, entry, VALUE, NOW + HOUR, NOW - 1), 'gone')
    assert.equal(await store.backend.touch(key, entry, NOW + HOUR, NOW - 1), 'gone')
    assert.equal(typeof (await store.backend.create(key, VALUE, NOW + HOUR, NOW)), 'object')
  },
  'sweeps that run at once remove each entry once': async (store) => {
    for (let count = 0; count < 60; count++) await store.add(0)
    const live = await store.add(1)
    const sweeps = await Promise.all(Array.from({ length: 4 }, () => store.sweep(10)))
    const deleted = sweeps.reduce((sum, sweep) => sum + sweep.deleted, 0)
    assert.ok(deleted <= 40, `4 sweeps of at most 10 have removed ${deleted}`)
    assert.equal(await store.count(), 60 - deleted)
    await store.holds(live)
  },
  // The renewing server's clock is a millisecond behind: to it these sessions are live still.
  'an entry that is renewed while a sweep runs stays': async (store) => {
    const stored = []
    for (let count = 0; count < 60; count++) stored.push(await store.add(0))
    const renewals = stored.map(async ({ key, entry }) => store.backend.touch(key, entry, NOW + HOUR, NOW - 1))
    const sweeps = Array.from({ length: 8 }, () => store.sweep(5))
    const outcomes = await Promise.all(renewals)
    const deleted = (await Promise.all(sweeps)).reduce((sum, sweep) => sum + sweep.deleted, 0)
    for (const [index, one] of stored.entries()) {
      if (outcomes[index] === 'touched') await store.holds(one)
      else await store.lacks(one)
    }
    assert.equal(deleted, outcomes.filter((outcome) => outcome === 'gone').length)
  },
}

const VALUE = Buffer.from('value')

interface Stored {
  readonly key: string
  readonly entry: Entry
}

/** A backend with nothing in it, and what a law does with it. */
class Store {
  readonly backend: Backend & Sweepable

  constructor(backend: Backend & Sweepable) {
    this.backend = backend
  }

  /** Stores an entry whose deadline is so many milliseconds after the sweep's `now`. */
  async add(deadline: number): Promise<Stored> {
    const key = randomBytes(32).toString('base64url')
    const before = NOW - 2 * HOUR
    const entry = await this.backend.create(key, VALUE, NOW + deadline, before)
    assert.ok(typeof entry === 'object', 'expected a new entry to be stored')
    const known = entry.version === undefined ? await this.backend.read(key, before) : entry
    assert.ok(known, 'expected the new entry to be there')
    return { key, entry: known }
  }

  sweep(limit: number, dormantBefore = 0): Promise<{ deleted: number; done: boolean }> {
    return this.backend.sweep({ now: NOW, dormantBefore }, limit)
  }

  async sweeps(limit: number, expected: { deleted: number; done: boolean }, dormantBefore?: number): Promise<void> {
    assert.deepEqual(await this.sweep(limit, dormantBefore), expected)
  }

  count(): Promise<number> {
    return this.backend.countExpired({ now: NOW, dormantBefore: 0 })
  }

  async holds({ key }: Stored): Promise<void> {
    assert.ok(await this.backend.read(key, NOW), 'an entry that is not over was removed')
  }

  /** Whether it was really removed: to a reader in the past an entry that is over is still there. */
  async lacks(...stored: readonly Stored[]): Promise<void> {
    for (const { key } of stored) {
      assert.equal(await this.backend.read(key, NOW - 2 * HOUR), undefined, 'an entry that is over was not removed')
    }
  }
}
