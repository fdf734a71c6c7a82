import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import {
  ByteString,
  eachChild,
  Instance,
  IntegerKey,
  PythonFloat,
  type PythonNode,
  Tuple,
} from '../../src/dialects/vishnu-python/python-nodes.js'
import { momentText } from '../../src/dialects/vishnu-python/python-time.js'

/** What a recorded Python value is: `type` and what belongs to it. */
export interface Recorded {
  type: string
  id?: number
  value?: string | boolean
  bits?: string
  base64?: string
  items?: Recorded[]
  entries?: [Recorded, Recorded][]
  unordered?: boolean
  iso?: string
  fold?: number
  tz?: { class: string; name: string } | null
  days?: number
  seconds?: number
  microseconds?: number
}

export interface RecordedSession {
  expires: Recorded
  last_accessed: Recorded
  data: Recorded
}

export interface RecordedPickle {
  id: string
  expected: 'decode' | 'refused' | 'either'
  pickle?: string
  parts?: { hex: string; repeat: number }[]
  decoding?: number
}

export interface RecordedRecord extends RecordedPickle {
  className: 'PickleableSession' | 'PicklableSession'
  python: 2 | 3
  recommended?: boolean
}

export interface PickleFixtures {
  marker: string
  decodings: (RecordedSession | Recorded)[]
  records: RecordedRecord[]
  compressed: RecordedPickle[]
  others: RecordedPickle[]
}

export interface RecordedCookie {
  id: string
  value: string
  secret: string
  encryptKey?: string
  sid?: string
  iv?: string
  expected: 'accept' | 'reject' | 'either'
}

export const pickles = readFixture('python-pickles.json.gz') as PickleFixtures
export const { cookies } = readFixture('python-cookies.json.gz') as { cookies: RecordedCookie[] }

export function bytesOf({ pickle = '', parts }: RecordedPickle): Buffer {
  if (!parts) return Buffer.from(pickle, 'base64')
  return Buffer.concat(parts.map(({ hex, repeat }) => Buffer.from(hex.repeat(repeat), 'hex')))
}

export function readFixture(name: string): unknown {
  return JSON.parse(gunzipSync(readFileSync(new URL(`../fixtures/${name}`, import.meta.url))).toString())
}

/**
 * The recorded form of a value, with a number for each container that occurs again. Sets have no order, nor have dicts that
 * Python 2 wrote: both are sorted.
 */
export function recorded(node: PythonNode, unordered = false): unknown {
  const shared = sharedContainers(node)
  const ids = new Map<PythonNode, number>()
  const describe = (value: PythonNode): object => {
    if (ids.has(value)) return { ref: ids.get(value) }
    if (shared.has(value)) ids.set(value, ids.size)
    return describeNew(value)
  }
  const describeNew = (value: PythonNode): object => {
    if (Array.isArray(value)) return { type: 'list', items: value.map(describe) }
    if (value instanceof Tuple) return { type: 'tuple', items: value.items.map(describe) }
    if (value instanceof Map) {
      const entries = [...value].map(([key, item]) => [describe(key), describe(item)])
      return { type: 'dict', entries: unordered ? sorted(entries) : entries }
    }
    return value instanceof Instance ? describeInstance(value, describe) : describeLeaf(value)
  }
  return describe(node)
}

/** The same of what was recorded. */
export function expectedOf(value: Recorded): unknown {
  const ids = new Map<number, number>()
  const describe = (one: Recorded): object => {
    if (one.type === 'ref') return { ref: ids.get(one.id as number) }
    if (one.id !== undefined) ids.set(one.id, ids.size)
    if (one.type === 'dict') {
      const entries = (one.entries ?? []).map((entry) => entry.map(describe))
      return { type: 'dict', entries: one.unordered ? sorted(entries) : entries }
    }
    if (!one.items) return expectedLeaf(one)
    const items = one.items.map(describe)
    return { type: one.type, items: one.type.endsWith('set') ? sorted(items) : items }
  }
  return describe(value)
}

/** Those that are referred to more than once; of tuples, which have no identity in Python, those that contain themselves. */
function sharedContainers(root: PythonNode): Set<PythonNode> {
  const seen = new Set<PythonNode>()
  const path: PythonNode[] = []
  const shared = new Set<PythonNode>()
  const visit = (node: PythonNode): void => {
    const isAgain = seen.has(node)
    if (isAgain && (Array.isArray(node) || node instanceof Map || path.includes(node))) shared.add(node)
    if (isAgain || typeof node !== 'object' || node === null) return
    seen.add(node)
    path.push(node)
    eachChild(node, visit)
    path.pop()
  }
  visit(root)
  return shared
}

function sorted<Item>(items: Item[]): Item[] {
  return items.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1))
}

function expectedLeaf(one: Recorded): object {
  const { type, value, bits, base64: binary, iso, fold = 0, tz, days, seconds, microseconds } = one
  switch (type) {
    case 'float':
      return { type, bits }
    case 'datetime':
      return { type, iso, fold, name: tz && !/^UTC([+-].*)?$/.test(tz.name) ? tz.name : undefined }
    case 'time':
      return { type, iso, fold }
    case 'date':
      return { type, iso }
    case 'timedelta':
      return { type, args: [days, seconds, microseconds] }
    default:
      return { type, value: binary ?? value ?? null }
  }
}

function describeInstance({ kind, args }: Instance, describe: (node: PythonNode) => object): object {
  const [first] = args
  const fold = first instanceof Uint8Array ? 1 : 0
  switch (kind) {
    case 'set':
    case 'frozenset':
      return { type: kind, items: sorted((first as PythonNode[]).map(describe)) }
    case 'bytearray':
      return { type: kind, value: base64(first as Uint8Array) }
    case 'datetime': {
      const zone = args.at(-1)
      return { type: kind, iso: isoOf(args), fold, name: zone instanceof Instance ? zone.args[1] : undefined }
    }
    case 'date':
      return { type: kind, iso: momentText(kind, args) }
    case 'time':
      return { type: kind, iso: momentText(kind, args), fold }
    case 'timedelta':
      return { type: kind, args }
    default:
      return { type: kind.toLowerCase(), value: first }
  }
}

function isoOf(args: readonly PythonNode[]): string {
  return momentText('datetime', args)
}

function describeLeaf(node: PythonNode): object {
  if (node === null) return { type: 'none', value: null }
  if (node instanceof IntegerKey) return describeLeaf(node.value)
  if (typeof node === 'boolean') return { type: 'bool', value: node }
  if (typeof node === 'number' || typeof node === 'bigint') return { type: 'int', value: String(node) }
  if (typeof node === 'string') return { type: 'str', value: node }
  if (node instanceof ByteString) return { type: 'py2str', value: base64(node.bytes) }
  if (node instanceof Uint8Array) return { type: 'bytes', value: base64(node) }
  if (!(node instanceof PythonFloat)) throw new TypeError('Not a value')
  const bits = Buffer.alloc(8)
  bits.writeDoubleBE(node.value)
  if (Number.isNaN(node.value)) return { type: 'float', bits: '7ff8000000000000' }
  return { type: 'float', bits: bits.toString('hex') }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
