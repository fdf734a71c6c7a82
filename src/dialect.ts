import type { AtRest, EncodedValue, StoredRecord, Tombstone, Values } from './record.js'

/** `size` random bytes from a cryptographically secure source. */
export type RandomSource = (size: number) => Uint8Array

/** What a cookie says once its seal was verified. */
export interface OpenedCookie {
  id: string
  /** Sealed under a key that is no longer the first: to be sealed anew. */
  stale: boolean
  /** Epoch seconds at which the browser drops the cookie, 0 for when it closes; undefined if the dialect can't tell. */
  expires: number | undefined
}

/**
 * How a session is written down: cookie text to id, id to store key, record to bytes. Does no I/O and knows no backend.
 */
export interface Dialect {
  /** A new id, unguessable. */
  newId(): string
  /** The id in a cookie's value if its seal is ours and intact. Never throws: the text is an attacker's. */
  open(text: string): OpenedCookie | undefined
  /** The cookie's value for an id. `expires` as in {@link OpenedCookie}. */
  seal(id: string, expires: number): string
  /** The key under which the backend keeps the session. */
  key(id: string): string

  encode(key: string, record: StoredRecord): Uint8Array
  encodeTombstone(key: string, tombstone: Tombstone): Uint8Array
  decode(key: string, bytes: Uint8Array): AtRest
  /** The values of a session that has none yet. */
  readonly noValues: Values

  /** Encodes at once; throws `ERR_VALUE`, naming the session key, for what can't be kept exactly. */
  encodeValue(sessionKey: string, value: unknown): EncodedValue
  /** Plain objects and arrays come back deep-frozen, all else as a fresh copy. Throws `ERR_RECORD`. */
  decodeValue(sessionKey: string, encoded: EncodedValue): unknown
  /** Whether one decoded value can serve every read: it is frozen through and through. */
  isShareable(encoded: EncodedValue): boolean
}
