import type { Entry, PlainBackend } from '../../src/index.js'
import type { OtherLibrary } from '../../src/testing/index.js'

/** A plain backend, and the other library's way to the same store. */
export interface SharedPlain {
  readonly backend: PlainBackend
  readonly other: OtherLibrary
}

/**
 * A plain layout in this process's memory, where a seed gives the same history again. Its version is the text of the bytes,
 * as Redis's is their digest.
 */
export function plainMemory(): PlainBackend {
  return sharedPlainMemory().backend
}

export function sharedPlainMemory(): SharedPlain {
  const kept = new Map<string, Uint8Array>()
  const textOf = (value: Uint8Array): string => Buffer.from(value).toString('latin1')
  const put = (key: string, value: Uint8Array): Entry => {
    kept.set(key, new Uint8Array(value))
    return { value: new Uint8Array(value), version: textOf(value) }
  }
  const refusal = (key: string, entry: Entry): 'conflict' | 'gone' | undefined => {
    const found = kept.get(key)
    if (!found) return 'gone'
    return textOf(found) === entry.version ? undefined : 'conflict'
  }
  const backend: PlainBackend = {
    layout: 'plain',
    read: async (key) => {
      const value = kept.get(key)
      return value && { value: new Uint8Array(value), version: textOf(value) }
    },
    create: async (key, value) => (kept.has(key) ? 'exists' : put(key, value)),
    replace: async (key, entry, value) => refusal(key, entry) ?? put(key, value),
    delete: async (key, entry) => {
      const refused = refusal(key, entry)
      if (!refused) kept.delete(key)
      return refused ?? 'deleted'
    },
    list: async () => ({ keys: [...kept.keys()], cursor: undefined }),
  }
  const other = {
    write: async (key: string, value: Uint8Array) => void put(key, value),
    read: async (key: string) => kept.get(key),
  }
  return { backend, other }
}
