import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Backend, Entry } from '../backend.js'
import { createSessions } from '../sessions.js'
import { isSweepable } from '../sweep.js'
import { expectAnswer, HOUR, type Laws, nameOf, RIVALS, type Slot } from './backend-slot.js'
import { type BackendCall, ForwardingBackend } from './forwarding-backend.js'

/** What a backend may declare: each is checked where it is declared, and where it is not. */
export interface Declared {
  readonly open: () => Promise<Backend> | Backend
  readonly longestValue: number
  readonly evict: ((key: string) => Promise<void>) | undefined
}

export function capabilityLaws({ open, longestValue, evict }: Declared): Laws {
  return {
    'the layout is native: the core finds the deadline in the entry': async ({ backend }) => {
      assert.equal(backend.layout, undefined, 'a backend of another layout has laws of its own: plainLaws')
    },
    [`a session as long as the backend allows is stored, and one byte more is refused (up to ${longestValue} bytes)`]: (
      slot,
    ) => storesTheLongest(slot, longestValue),
    'a backend that can sweep does, and one that can not says so': sweepsIfItSaysSo,
    'a backend that is closed does not tell that an entry is absent or in another version': (slot) =>
      staysHonestWhenClosed(slot, open),
    ...(evict ? evicting(evict) : { [`a backend that is not said to evict keeps ${MANY} live entries`]: keepsMany }),
  }
}

const MANY = 200
const RECORD_OVERHEAD = 1000

async function storesTheLongest(slot: Slot, longestValue: number): Promise<void> {
  const { maxBytes = Infinity } = slot.backend
  const longest = Math.min(maxBytes, longestValue)
  const backend = new MeasuringBackend(slot)
  const secret = 'of this law, and worth nothing elsewhere'
  const sessions = createSessions({ secret, backend, onEvent: () => undefined, backendTimeout: 60_000 })
  const session = await sessions.open(undefined).session()
  const save = (length: number): Promise<void> => {
    session.set('text', 'x'.repeat(length))
    return session.save()
  }
  let length = Math.max(0, longest - RECORD_OVERHEAD)
  await save(length)
  length += longest - backend.written - 1
  await save(length)
  const isLimited = maxBytes <= longestValue
  // Where the length that a record tells of itself gets another digit, the very last byte is out of reach.
  if (isLimited) await save(length + 1).then(() => length++, assertTooLarge)
  const { written } = backend
  assert.ok(written === longest || written === longest - 1, `expected ${longest} bytes, but ${written} were written`)
  await storedWhole()
  if (!isLimited) return
  await assert.rejects(save(length + 1), assertTooLarge)
  await storedWhole()

  async function storedWhole(): Promise<void> {
    assert.equal((await backend.stored())?.value.length, written, 'the longest session was not stored whole')
  }
}

function assertTooLarge(error: unknown): true {
  assert.equal((error as { code?: unknown }).code, 'ERR_TOO_LARGE')
  return true
}

/** Tells how long the records are that the core writes. */
class MeasuringBackend extends ForwardingBackend {
  written = 0
  readonly #slot: Slot
  #key = ''

  constructor(slot: Slot) {
    super(slot.backend)
    this.#slot = slot
  }

  stored(): ReturnType<Backend['read']> {
    return this.inner.read(this.#key, Date.now())
  }

  protected around<T>({ key, value }: BackendCall, run: () => Promise<T>): Promise<T> {
    if (value) {
      this.written = value.length
      // To be removed after the law.
      if (key !== this.#key) this.#slot.sibling(key)
      this.#key = key
    }
    return run()
  }
}

/** The sweep is of the first seconds of 1970, where nobody else who uses the store has anything. */
async function sweepsIfItSaysSo(slot: Slot): Promise<void> {
  const { backend } = slot
  if (!isSweepable(backend)) {
    const { sweep, countExpired } = backend as { sweep?: unknown; countExpired?: unknown }
    assert.deepEqual([sweep, countExpired], [undefined, undefined], 'sweep and countExpired belong together')
    return
  }
  const [over, live] = [slot.sibling(), slot.sibling()]
  for (const [{ key }, deadline] of [[over, 1000] as const, [live, 3000] as const]) {
    const created = await backend.create(key, new Uint8Array(1), deadline, 0)
    assert.equal(typeof created, 'object', `expected create to succeed in 1970, but it answered ${nameOf(created)}`)
  }
  const expiry = { now: 2000, dormantBefore: 0 }
  assert.equal(
    (await backend.sweep(expiry, 1000)).done,
    true,
    'a sweep of less than its limit must tell that it is done',
  )
  assert.equal(await backend.countExpired(expiry), 0, 'countExpired must be the number 0 after a sweep of everything')
  assert.equal(await backend.read(over.key, 0), undefined, 'an entry that is over was not removed')
  assert.ok(await backend.read(live.key, 0), 'an entry that is not over was removed')
}

/**
 * The one outage that a law can bring about: what can't be asked any more must reject, and not look like an answer. Whoever
 * opens a connection again, or uses one that it did not open, may answer.
 */
async function staysHonestWhenClosed(slot: Slot, open: Declared['open']): Promise<void> {
  const { backend } = slot
  if (!backend.close) return
  const entry = await slot.begin('first')
  const other = slot.sibling()
  await slot.close()
  const answers = await Promise.all([
    answerOf(slot.read()),
    answerOf(slot.touch(entry)),
    answerOf(slot.replace(entry, 'second')),
    answerOf(other.create('third')),
  ])
  const successor = await open()
  await Promise.allSettled([slot, other].map(({ key }) => successor.delete(key)))
  await successor.close?.()
  const [read, touched, replaced, created] = answers
  const asked = { read, touch: touched, replace: replaced, create: created }
  const rights = { read: ENTRY, touch: 'touched', replace: ENTRY, create: ENTRY }
  for (const [operation, answer] of Object.entries(asked)) {
    const right = rights[operation as keyof typeof rights]
    assert.ok(
      answer === NONE || answer === right,
      `${operation} answered ${answer} after close(): what the server was not asked is an outage, which rejects`,
    )
  }
}

const NONE = 'nothing'
const ENTRY = nameOf({ value: new Uint8Array() })

/** What is never answered is no lie. */
async function answerOf(call: Promise<Entry | string | undefined>): Promise<string> {
  const given = new AbortController()
  const never = sleep(1000, NONE, { signal: given.signal })
  try {
    return await Promise.race([call.then(nameOf, () => NONE), never])
  } finally {
    given.abort()
    await never.catch(() => undefined)
  }
}

async function keepsMany(slot: Slot): Promise<void> {
  const many = Array.from({ length: MANY }, () => slot.sibling())
  await Promise.all(many.map((one) => one.begin(one.key)))
  await Promise.all(many.map((one) => one.holds(one.key)))
}

/** The weaker promise: an entry may end early. It ends as at its deadline, and nothing else comes of it. */
function evicting(evict: (key: string) => Promise<void>): Laws {
  return {
    'an evicted entry is absent, and gone to replace and touch, which store nothing': async (slot) => {
      const first = await slot.begin('first')
      const second = await slot.change(first, 'second')
      await evict(slot.key)
      for (const entry of [first, second]) {
        expectAnswer(await slot.replace(entry, 'third'), 'gone')
        expectAnswer(await slot.touch(entry), 'gone')
      }
      await slot.isAbsent()
    },
    'after an eviction create begins anew, and no version from before fits': async (slot) => {
      const old = await slot.begin('first')
      await evict(slot.key)
      await slot.begin('second')
      expectAnswer(await slot.replace(old, 'third'), 'conflict')
      expectAnswer(await slot.touch(old, { deadline: 2 * HOUR }), 'conflict')
      await slot.holds('second')
    },
    'where one entry is evicted, every other holds what it held or is absent too': async (slot) => {
      await slot.begin('evicted')
      const others = Array.from({ length: RIVALS }, () => slot.sibling())
      for (const other of others) await other.begin(other.key)
      await evict(slot.key)
      for (const other of others) if (await other.read()) await other.holds(other.key)
    },
  }
}
