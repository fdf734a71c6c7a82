import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { DialectFactory, DialectOptions, PlainDialect, RandomSource } from '../dialect.js'
import { ConfigError, describeValue, unknownOptions } from '../errors.js'
import type { AtRest, Header, RecordTimes, StoredRecord } from '../record.js'
import { cookieCodec } from './vishnu-python/cookie.js'
import { PickleError } from './vishnu-python/pickle-error.js'
import type { SessionClass } from './vishnu-python/python-classes.js'
import { type RecordFormat, recordFormats } from './vishnu-python/record-formats.js'
import {
  decodePortable,
  decodeValue,
  encodeValue,
  noValues,
  type PythonValues,
  type StoredValue,
} from './vishnu-python/record.js'

export { type PythonContents, PythonValue } from './vishnu-python/python-value.js'

export interface VishnuPythonOptions {
  /**
   * What the Python library's class of stored sessions is called: `PickleableSession` since 3.1.0, before
   * `PicklableSession`, and neither reads the other. For new sessions; a stored one keeps its class.
   * Default `PickleableSession`.
   */
  sessionClass?: SessionClass
  /** `ndb` for records that `appEngineNdb()` keeps, `pickle` for Redis and Memcached. Default `pickle`. */
  format?: RecordFormat
}

/**
 * The cookies and records of the Python library `vishnu`, to share its sessions while it runs, or to carry them over.
 *
 * @throws `ERR_CONFIG` for wrong options.
 */
export function vishnuPython(options: VishnuPythonOptions = {}): DialectFactory {
  const { sessionClass = 'PickleableSession', format = 'pickle' } = options
  const problems = unknownOptions(options, ['sessionClass', 'format'])
  if (sessionClass !== 'PickleableSession' && sessionClass !== 'PicklableSession') {
    problems.push(`sessionClass must be PickleableSession or PicklableSession, not ${describeValue(sessionClass)}`)
  }
  if (format !== 'pickle' && format !== 'ndb') {
    problems.push(`format must be pickle or ndb, not ${describeValue(format)}`)
  }
  if (problems.length > 0) throw new ConfigError('vishnuPython', problems)
  return (dialectOptions) => dialectOf(sessionClass, format, dialectOptions)
}

/** The name of a record's class goes with its header through every change. */
interface PythonHeader extends Header {
  readonly sessionClass?: SessionClass
}

/** What Python's `http.cookies` takes for an attribute. It finds no cookie of such a name, and refuses to set one. */
const RESERVED_NAME = /^(expires|path|comment|domain|max-age|secure|httponly|version|samesite|partitioned)$/i

function dialectOf(
  newSessionClass: SessionClass,
  format: RecordFormat,
  { random, ...options }: DialectOptions,
): PlainDialect {
  if (RESERVED_NAME.test(options.cookieName)) {
    throw new ConfigError('vishnuPython', [
      `cookieName can't be ${options.cookieName}: Python takes it for an attribute`,
    ])
  }
  const cookies = cookieCodec({ ...options, random })
  return {
    layout: 'plain',
    ...(format === 'ndb' && { form: format }),
    duplicates: 'last',
    newId: (bytes = random) => newUuid(bytes),
    open(text) {
      const opened = cookies.open(text)
      return opened && { ...opened, expires: undefined }
    },
    seal: (id) => cookies.seal(id),
    key: (id) => id,

    encode(key, { header, values }, { expires, lastUsed: lastAccessed }) {
      const { sessionClass: className = newSessionClass, stamp, timeout } = header as PythonHeader
      const written = { className, expires, lastAccessed, values: values as PythonValues }
      const bytes = recordFormats[format].encode(signature(stamp, timeout), written)
      return { bytes, record: { header: { ...header, publicId: publicIdOf(key) }, values } }
    },
    decode: (key, bytes) => decodeSession(format, key, bytes),
    noValues,
    encodeValue,
    decodeValue: (sessionKey, encoded) => decodeValue(sessionKey, encoded as StoredValue),
    decodePortable: (sessionKey, encoded) => decodePortable(sessionKey, encoded as StoredValue),
    isShareable: (encoded) => (encoded as StoredValue).isShareable,
  }
}

function decodeSession(format: RecordFormat, key: string, bytes: Uint8Array): AtRest {
  try {
    const { className, expires, lastAccessed, values, pickle } = recordFormats[format].decode(bytes)
    const header: PythonHeader = {
      ...(readSignature(pickle) ?? {
        stamp: createHash('sha256').update(bytes).digest('base64url'),
        timeout: expires === undefined ? 0 : undefined,
      }),
      created: lastAccessed ?? 0,
      absolute: 0,
      publicId: publicIdOf(key),
      ...(className && { sessionClass: className }),
    }
    const record: StoredRecord = { header, values }
    const times: RecordTimes = { expires, lastUsed: lastAccessed }
    return { kind: 'session', record, times }
  } catch (error) {
    if (error instanceof PickleError) return { kind: 'corrupt', reason: error.message }
    throw error
  }
}

/*
 * What Python's record has no place for stands in front of it: a text that Python pushes on its stack, pops again, and does
 * not write. So it also tells that Python has not written since.
 *
 *     PROTO 2, BINUNICODE "vishnu <stamp> <timeout>;", POP
 *
 * Two writers may well write the same values at the same time. Without the stamp their records would be the same bytes, each
 * would take the other's write for its own, and one of two increments would be lost.
 */
const TEXT_START = 7
const TEXT = /^vishnu ([\w-]{16}) (-|\d{1,10});0/
const LONGEST_TEXT = 36

function signature(stamp: string, timeout: number | undefined): Buffer {
  const text = `vishnu ${stamp} ${timeout ?? '-'};`
  return Buffer.from(`\x80\x02X${String.fromCharCode(text.length)}\0\0\0${text}0`, 'latin1')
}

function readSignature(bytes: Uint8Array): Pick<Header, 'stamp' | 'timeout'> | undefined {
  const text = Buffer.from(bytes.subarray(TEXT_START, TEXT_START + LONGEST_TEXT)).toString('latin1')
  const match = TEXT.exec(text)
  if (!match) return undefined
  const [, stamp = '', timeout = ''] = match
  return { stamp, timeout: timeout === '-' ? undefined : Number(timeout) }
}

/** Not the id, which opens the session to whoever also has the secret. A session under a new id gets a new one. */
function publicIdOf(key: string): string {
  return createHash('sha256').update(`vishnu-public-v1\0${key}`).digest('base64url').slice(0, 12)
}

/** As Python's `uuid4().hex`: version 4, variant 1 (RFC 9562, section 5.4). */
function newUuid(random: RandomSource): string {
  const bytes = Buffer.from(random(16))
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex')
}
