import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import type { Backend, Entry } from '../backend.js'

export const HOUR = 3_600_000
/** How many do the same at once. */
export const RIVALS = 32

/** Laws by name. Each gets a key of its own. */
export type Laws = Readonly<Record<string, (slot: Slot) => Promise<void>>>

export interface Times {
  readonly deadline?: number
  readonly now?: number
}

/** One key, and what a law does with it. Times are milliseconds from the start; a deadline not given is in an hour. */
export class Slot {
  readonly key: string
  readonly backend: Backend
  /** Epoch milliseconds. */
  readonly start: number
  readonly #all: Slot[]

  constructor(backend: Backend, start: number, all: Slot[], key: string = randomBytes(32).toString('base64url')) {
    this.key = key
    this.backend = backend
    this.start = start
    this.#all = all
    all.push(this)
  }

  sibling(key?: string): Slot {
    return new Slot(this.backend, this.start, this.#all, key)
  }

  get maxBytes(): number {
    return this.backend.maxBytes ?? Infinity
  }

  read(now = 0): Promise<Entry | undefined> {
    return this.backend.read(this.key, this.start + now)
  }

  create(value: string | Uint8Array, times: Times = {}): Promise<Entry | 'exists'> {
    return this.backend.create(this.key, bytesOf(value), ...this.#epoch(times))
  }

  replace(entry: Entry, value: string | Uint8Array, times: Times = {}): Promise<Entry | 'conflict' | 'gone'> {
    return this.backend.replace(this.key, entry, bytesOf(value), ...this.#epoch(times))
  }

  touch(entry: Entry, times: Times = {}): Promise<'touched' | 'conflict' | 'gone'> {
    return this.backend.touch(this.key, entry, ...this.#epoch(times))
  }

  delete(): Promise<void> {
    return this.backend.delete(this.key)
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
    assert.equal(entry.deadline, this.start + deadline, 'a read must tell the deadline')
  }

  async isAbsent(now = 0): Promise<void> {
    assert.equal(await this.read(now), undefined)
  }

  async #written(
    operation: string,
    outcome: Entry | string,
    value: string | Uint8Array,
    { deadline = HOUR, now = 0 }: Times,
  ): Promise<Entry> {
    assert.ok(typeof outcome === 'object', `expected ${operation} to succeed, but it answered ${nameOf(outcome)}`)
    assertBytes(outcome.value, value)
    if (outcome.deadline !== undefined) assert.equal(outcome.deadline, this.start + deadline)
    return outcome.version === undefined ? this.found(now) : outcome
  }

  #epoch({ deadline = HOUR, now = 0 }: Times): [deadline: number, now: number] {
    return [this.start + deadline, this.start + now]
  }
}

export function assertBytes(actual: Uint8Array, expected: string | Uint8Array): void {
  assert.ok(actual instanceof Uint8Array, 'a value must be a Uint8Array')
  const isEqual = Buffer.compare(actual, bytesOf(expected)) === 0
  assert.ok(isEqual, `expected the value ${excerpt(bytesOf(expected))}, but got ${excerpt(actual)}`)
}

export function nameOf(outcome: Entry | string | undefined): string {
  return typeof outcome === 'object' ? 'an entry' : String(outcome)
}

function excerpt(bytes: Uint8Array): string {
  return `of ${bytes.length} bytes ${JSON.stringify(Buffer.from(bytes.subarray(0, 60)).toString('latin1'))}`
}

export function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value) : value
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString()
}
