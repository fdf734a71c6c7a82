import { Buffer } from 'node:buffer'
import { PickleError } from './pickle-error.js'
import { decodeData, decodeRecord, encodeData, encodeRecord, type PythonRecord, type PythonValues } from './record.js'

/** Where the Python library keeps what: `pickle` for Redis and Memcached, `ndb` for App Engine's entities. */
export type RecordFormat = 'pickle' | 'ndb'

interface Codec {
  /** `prefix` goes in front of the pickle. */
  encode(prefix: Uint8Array, record: PythonRecord): Uint8Array
  /** Throws PickleError. */
  decode(bytes: Uint8Array): Decoded
}

interface Decoded extends Omit<PythonRecord, 'className' | 'values'> {
  readonly className?: PythonRecord['className']
  readonly values: PythonValues
  /** With what stands in front. */
  readonly pickle: Uint8Array
}

export const recordFormats: Readonly<Record<RecordFormat, Codec>> = {
  pickle: {
    encode: (prefix, record) => Buffer.concat([prefix, encodeRecord(record)]),
    decode: (bytes) => ({ ...decodeRecord(bytes), pickle: bytes }),
  },
  /*
   * An entity has no class, and its times are columns. `appEngineNdb()` hands it over, and takes it, as a line of JSON with
   * these columns (epoch milliseconds or null), and the column `data` behind it:
   *
   *     {"expires":1700000000000,"last_accessed":1699996400000}\n<data>
   */
  ndb: {
    encode: (prefix, { expires, lastAccessed, values }) => {
      const columns = { expires: expires ?? null, last_accessed: lastAccessed ?? null }
      return Buffer.concat([Buffer.from(`${JSON.stringify(columns)}\n`), encodeData(values, prefix)])
    },
    decode: (bytes) => {
      const end = bytes.indexOf(0x0a)
      const { expires, last_accessed: lastAccessed } = columnsIn(bytes.subarray(0, end))
      const { values, pickle } = decodeData(bytes.subarray(end + 1))
      return { expires: expires ?? undefined, lastAccessed: lastAccessed ?? undefined, values, pickle }
    },
  },
}

interface Columns {
  readonly expires: number | null
  readonly last_accessed: number | null
}

function columnsIn(line: Uint8Array): Columns {
  try {
    return JSON.parse(Buffer.from(line).toString()) as Columns
  } catch {
    throw new PickleError('it is no entity of NDB')
  }
}
