import type { AtRest, EncodedValue, RecordTimes, StoredRecord, Tombstone, Values } from './record.js'

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

/** What a dialect is made from, by `createSessions`. */
export interface DialectOptions {
  /** The first seals, all open. */
  secrets: readonly string[]
  /** If any, cookies are encrypted. The first seals, all open. */
  encryptKeys: readonly string[]
  cookieName: string
  random: RandomSource
}

export type DialectFactory = (options: DialectOptions) => Dialect

/** How a session is written down. */
export type Dialect = NativeDialect | PlainDialect

/** A dialect whose records leave their deadline to the backend, and whose ended sessions leave a tombstone. */
export interface NativeDialect extends CommonDialect {
  readonly layout: 'native'
  encodeTombstone(key: string, tombstone: Tombstone): Uint8Array
}

/** A dialect shared with another library, whose records say themselves when they end. What has ended is just not there. */
export interface PlainDialect extends CommonDialect {
  readonly layout: 'plain'
  /** As in the backends that its records are for. */
  readonly form?: 'ndb'
}

/** Cookie text to id, id to store key, record to bytes. Does no I/O and knows no backend. */
interface CommonDialect {
  /** Which one counts if a request carries several cookies of our name whose seals open. */
  readonly duplicates: 'first' | 'last'
  /** A new id, unguessable. From the same bytes the same id. Default: random ones. */
  newId(bytes?: RandomSource): string
  /** The id in a cookie's value if its seal is ours and intact. Never throws: the text is an attacker's. */
  open(text: string): OpenedCookie | undefined
  /** The cookie's value for an id. `expires` as in {@link OpenedCookie}. */
  seal(id: string, expires: number): string
  /** The key under which the backend keeps the session. */
  key(id: string): string

  /** Also gives the record as it will be read, with the same stamp: what has no place in it is made from the key. */
  encode(key: string, record: StoredRecord, times: RecordTimes): { bytes: Uint8Array; record: StoredRecord }
  /** With its times if they are in the record. Never throws. */
  decode(key: string, bytes: Uint8Array): AtRest
  /** The values of a session that has none yet. */
  readonly noValues: Values

  /** Encodes at once; throws `ERR_VALUE`, naming the session key, for what can't be kept exactly. */
  encodeValue(sessionKey: string, value: unknown): EncodedValue
  /** Plain objects and arrays come back deep-frozen, all else as a fresh copy. Throws `ERR_RECORD`. */
  decodeValue(sessionKey: string, encoded: EncodedValue): unknown
  /** The same in terms that every dialect can keep. */
  decodePortable(sessionKey: string, encoded: EncodedValue): unknown
  /** Whether one decoded value can serve every read: it is frozen through and through. */
  isShareable(encoded: EncodedValue): boolean
}
