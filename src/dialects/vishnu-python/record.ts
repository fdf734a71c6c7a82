import { Buffer } from 'node:buffer'
import { deflateSync, inflateSync } from 'node:zlib'
import { SessionError } from '../../errors.js'
import type { Changes, Values } from '../../record.js'
import { assertBounded, MAX_BYTES } from './limits.js'
import { fromTypeScript } from './from-typescript.js'
import { PickleError } from './pickle-error.js'
import { readPickle } from './pickle-reader.js'
import { type DataDict, writeData, writeSession } from './pickle-writer.js'
import { type SessionClass, SessionObject } from './python-classes.js'
import { ByteString, Instance, type PythonNode, textOf } from './python-nodes.js'
import { instantOf, isNaiveDateTime, naiveDateTime } from './python-time.js'
import { toPortable, toTypeScript } from './to-typescript.js'

/** A session as the Python library keeps it. Times are epoch milliseconds. */
export interface PythonRecord {
  readonly className: SessionClass
  /** Undefined: never, as far as Python is concerned. */
  readonly expires: number | undefined
  /** Undefined if no value was ever read or set. */
  readonly lastAccessed: number | undefined
  readonly values: PythonValues
}

/**
 * The record under a key of Redis or Memcached: a pickled session object.
 *
 * @throws PickleError if it is damaged, or holds what this library refuses to read
 */
export function decodeRecord(bytes: Uint8Array): PythonRecord {
  const session = readPickle(bytes)
  if (!(session instanceof SessionObject) || !session.state) throw new PickleError('it is no session')
  const attributes = new Map([...session.state].map(([name, value]) => [textOf(name), value]))
  if (attributes.size !== 3) throw new PickleError('it is a session of another version')
  return {
    className: session.className,
    expires: timeAttribute(attributes.get('_expires')),
    lastAccessed: timeAttribute(attributes.get('_last_accessed')),
    values: valuesOf(attributes.get('_data')),
  }
}

/** @throws `ERR_TOO_LARGE` for more than this library would read */
export function encodeRecord({ className, expires, lastAccessed, values }: PythonRecord): Uint8Array {
  return writeSession(className, timeNode(expires), timeNode(lastAccessed), values.data)
}

/**
 * The `data` column of an App Engine NDB entity: the pickled dict, compressed. With the pickle, for what stands in front of
 * the dict.
 *
 * @throws PickleError as {@link decodeRecord}
 */
export function decodeData(compressed: Uint8Array): { values: PythonValues; pickle: Uint8Array } {
  const pickle = inflateData(compressed)
  return { values: valuesOf(readPickle(pickle)), pickle }
}

function inflateData(compressed: Uint8Array): Uint8Array {
  try {
    return inflateSync(compressed, { maxOutputLength: MAX_BYTES })
  } catch {
    throw new PickleError('it is not compressed as it should be')
  }
}

/**
 * At zlib's default level: NDB takes the first two bytes of any other for data that is not compressed. `prefix` is put in
 * front of the pickle.
 *
 * @throws `ERR_TOO_LARGE` as {@link encodeRecord}
 */
export function encodeData(values: PythonValues, prefix: Uint8Array = new Uint8Array()): Uint8Array {
  return deflateSync(Buffer.concat([prefix, writeData(values.data)]))
}

/** One value. An object of its own, so that the one who read it recognises it. */
export class StoredValue {
  readonly node: PythonNode
  #isShareable: boolean | undefined

  constructor(node: PythonNode) {
    this.node = node
  }

  decode(): unknown {
    const { value, isFrozen } = toTypeScript(this.node)
    this.#isShareable = isFrozen
    return value
  }

  /** Whether one decoded value can serve every read. */
  get isShareable(): boolean {
    this.#isShareable ??= toTypeScript(this.node).isFrozen
    return this.#isShareable
  }
}

export function encodeValue(sessionKey: string, value: unknown): StoredValue {
  return new StoredValue(fromTypeScript(sessionKey, value))
}

/** @throws `ERR_RECORD` for a Python value without a form in TypeScript. It is kept. */
export function decodeValue(sessionKey: string, stored: StoredValue): unknown {
  return readable(sessionKey, () => stored.decode())
}

/** The value for a record of another dialect: as {@link toPortable} says. Throws like {@link decodeValue}. */
export function decodePortable(sessionKey: string, stored: StoredValue): unknown {
  return readable(sessionKey, () => toPortable(stored.node))
}

function readable(sessionKey: string, decode: () => unknown): unknown {
  try {
    return decode()
  } catch {
    throw new SessionError('ERR_RECORD', `The stored value of session key ${JSON.stringify(sessionKey)} can't be read`)
  }
}

/** The session's dict. Keys that are no text are kept, but not listed; `clear` removes them too. */
export class PythonValues implements Values {
  readonly data: DataDict

  constructor(data: DataDict) {
    this.data = data
  }

  has(key: string): boolean {
    return this.#keyOf(key) !== undefined
  }

  get(key: string): StoredValue | undefined {
    const own = this.#keyOf(key)
    return own === undefined ? undefined : new StoredValue(this.data.entries.get(own) as PythonNode)
  }

  *keys(): Iterable<string> {
    for (const key of this.data.entries.keys()) {
      const text = textOf(key)
      if (text !== undefined) yield text
    }
  }

  get unlisted(): number {
    return this.data.entries.size - [...this.keys()].length
  }

  with(changes: Changes): PythonValues {
    const entries = new Map(this.data.entries)
    if (changes.spared) {
      for (const key of entries.keys()) {
        const text = textOf(key)
        if (text === undefined || !changes.spared.has(text)) entries.delete(key)
      }
    }
    for (const [key, { encoded }] of changes.byKey) {
      const own = this.#keyOf(key) ?? key
      if (encoded === undefined) entries.delete(own)
      else entries.set(own, (encoded as StoredValue).node)
    }
    return new PythonValues({ entries, origin: this.data.origin })
  }

  /** Python 2 may have written the key as either kind of string. */
  #keyOf(key: string): PythonNode | undefined {
    if (this.data.entries.has(key)) return key
    for (const own of this.data.entries.keys()) if (own instanceof ByteString && own.text === key) return own
    return undefined
  }
}

const nothing = new Map()
export const noValues: PythonValues = new PythonValues({ entries: nothing, origin: nothing })

function valuesOf(data: PythonNode | undefined): PythonValues {
  if (!(data instanceof Map)) throw new PickleError('its data is no dict')
  assertBounded([...data.keys(), ...data.values()], data)
  return new PythonValues({ entries: data, origin: data })
}

function timeAttribute(node: PythonNode | undefined): number | undefined {
  if (node === null) return undefined
  if (!(node instanceof Instance) || !isNaiveDateTime(node)) throw new PickleError('it has a time that is none')
  return instantOf(node)
}

/** A time that Python can't hold is never reached: None. */
function timeNode(time: number | undefined): PythonNode {
  return (time === undefined ? undefined : naiveDateTime(time)) ?? null
}
