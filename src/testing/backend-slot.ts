import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { Backend, Entry } from '../backend.js'
import { LawCalls } from './law-calls.js'
import { shown } from './shown.js'

export const HOUR = 3_600_000
/** How many do the same at once. */
export const RIVALS = 32
/** Of a value, in messages. */
const SHOWN_BYTES = 48

/** Laws by name. Each gets a key of its own. */
export type Laws = Readonly<Record<string, (slot: Slot) => Promise<void>>>

export interface Times {
  readonly deadline?: number
  readonly now?: number
}

/** What one law has to do with a backend. */
export interface LawScene {
  readonly backend: Backend
  /** Epoch milliseconds. */
  readonly start: number
  /** All keys that it has used. */
  readonly slots: Slot[]
  readonly calls: LawCalls
  /** Whether a law has closed the backend itself. */
  isClosed: boolean
}

export function lawScene(backend: Backend, start: number): LawScene {
  return { backend, start, slots: [], calls: new LawCalls(), isClosed: false }
}

export async function closeOnce(scene: LawScene): Promise<void> {
  if (scene.isClosed) return
  scene.isClosed = true
  await scene.calls.make('close()', async () => scene.backend.close?.(), String)
}

/** One key, and what a law does with it. Times are milliseconds from the start; a deadline not given is in an hour. */
export class Slot {
  readonly key: string
  readonly backend: Backend
  readonly start: number
  readonly #scene: LawScene
  readonly #name: string

  constructor(scene: LawScene, key: string = randomBytes(32).toString('base64url')) {
    this.key = key
    this.backend = scene.backend
    this.start = scene.start
    this.#scene = scene
    this.#name = `key ${scene.slots.push(this)}`
  }

  sibling(key?: string): Slot {
    return new Slot(this.#scene, key)
  }

  get maxBytes(): number {
    return this.backend.maxBytes ?? Infinity
  }

  read(now = 0): Promise<Entry | undefined> {
    return this.#call('read', [`now ${ms(now)}`], () => this.backend.read(this.key, this.start + now))
  }

  create(value: string | Uint8Array, times: Times = {}): Promise<Entry | 'exists'> {
    const bytes = bytesOf(value)
    return this.#call('create', [excerpt(bytes), ...told(times)], () =>
      this.backend.create(this.key, bytes, ...this.#epoch(times)),
    )
  }

  replace(entry: Entry, value: string | Uint8Array, times: Times = {}): Promise<Entry | 'conflict' | 'gone'> {
    const bytes = bytesOf(value)
    return this.#call('replace', [versionOf(entry), excerpt(bytes), ...told(times)], () =>
      this.backend.replace(this.key, entry, bytes, ...this.#epoch(times)),
    )
  }

  touch(entry: Entry, times: Times = {}): Promise<'touched' | 'conflict' | 'gone'> {
    return this.#call('touch', [versionOf(entry), ...told(times)], () =>
      this.backend.touch(this.key, entry, ...this.#epoch(times)),
    )
  }

  delete(): Promise<void> {
    return this.#call('delete', [], () => this.backend.delete(this.key))
  }

  close(): Promise<void> {
    return closeOnce(this.#scene)
  }

  /** A create that must succeed; resolves to an entry that can be written over. */
  async begin(value: string | Uint8Array, times: Times = {}): Promise<Entry> {
    return this.#written('create', await this.create(value, times), value, times)
  }

  /** A replace that must succeed; resolves to an entry that can be written over. */
  async change(entry: Entry, value: string | Uint8Array, times: Times = {}): Promise<Entry> {
    return this.#written('replace', await this.replace(entry, value, times), value, times)
  }

  async found(now = 0): Promise<Entry> {
    const entry = await this.read(now)
    assert.ok(entry, 'expected a live entry, but read told of none')
    return entry
  }

  async holds(value: string | Uint8Array, { deadline = HOUR, now = 0 }: Times = {}): Promise<void> {
    const entry = await this.found(now)
    assertBytes(entry.value, value)
    assert.notEqual(entry.version, undefined, 'a read must tell the version')
    const expected = this.start + deadline
    assert.ok(
      entry.deadline === expected,
      `expected read to tell the deadline ${expected}, a number, but it told ${describeDeadline(entry.deadline)}`,
    )
  }

  async isAbsent(now = 0): Promise<void> {
    expectAnswer(await this.read(now), undefined)
  }

  async #written(
    operation: string,
    outcome: Entry | string,
    value: string | Uint8Array,
    { deadline = HOUR, now = 0 }: Times,
  ): Promise<Entry> {
    assert.ok(typeof outcome === 'object', `expected ${operation} to succeed, but it answered ${nameOf(outcome)}`)
    assertBytes(outcome.value, value)
    if (outcome.deadline !== undefined) {
      assert.equal(outcome.deadline, this.start + deadline, `${operation} answered another deadline than it was given`)
    }
    return outcome.version === undefined ? this.found(now) : outcome
  }

  #call<T>(operation: string, details: readonly string[], run: () => Promise<T>): Promise<T> {
    return this.#scene.calls.make(`${operation}(${[this.#name, ...details].join(', ')})`, run, (outcome) =>
      this.#described(outcome),
    )
  }

  #described(outcome: unknown): string {
    if (typeof outcome !== 'object' || outcome === null) return String(outcome)
    const { value, deadline, ...rest } = outcome as Entry
    const bytes = value instanceof Uint8Array ? excerpt(value) : shown(value)
    const isTime = typeof deadline === 'number'
    return [bytes, versionOf(rest), `deadline ${isTime ? ms(deadline - this.start) : shown(deadline)}`].join(', ')
  }

  #epoch({ deadline = HOUR, now = 0 }: Times): [deadline: number, now: number] {
    return [this.start + deadline, this.start + now]
  }
}

export function assertBytes(actual: Uint8Array, expected: string | Uint8Array): void {
  assert.ok(actual instanceof Uint8Array, 'a value must be a Uint8Array')
  const isEqual = Buffer.compare(actual, bytesOf(expected)) === 0
  assert.ok(isEqual, `expected the value ${excerpt(bytesOf(expected))}, but it was ${excerpt(actual)}`)
}

/** For what is answered in a word, or by no entry. */
export function expectAnswer(answer: Entry | string | undefined, expected: string | undefined): void {
  assert.ok(answer === expected, `expected the answer ${nameOf(expected)}, but it was ${nameOf(answer)}`)
}

export function nameOf(outcome: Entry | string | undefined): string {
  return typeof outcome === 'object' ? 'an entry' : String(outcome)
}

function versionOf({ version }: Pick<Entry, 'version'>): string {
  return version instanceof Uint8Array ? `version ${excerpt(version)}` : `version ${shown(version)}`
}

function told({ deadline = HOUR, now = 0 }: Times): string[] {
  return [`deadline ${ms(deadline)}`, `now ${ms(now)}`]
}

function ms(time: number): string {
  return `+${time} ms`
}

function describeDeadline(deadline: unknown): string {
  return typeof deadline === 'string' ? `the text ${shown(deadline)}` : shown(deadline)
}

function excerpt(bytes: Uint8Array): string {
  return `${JSON.stringify(Buffer.from(bytes.subarray(0, SHOWN_BYTES)).toString('latin1'))} (${bytes.length} bytes)`
}

export function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value) : value
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}
