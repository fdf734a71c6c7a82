import { Buffer } from 'node:buffer'
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hash,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto'
import type { DialectOptions, NativeDialect, OpenedCookie } from '../dialect.js'
import type { EncodedValue } from '../record.js'
import { decodeRecord, encodeRecord, encodeTombstone, noValues } from './native-record.js'
import { decodeValue, encodeValue, isShareable } from './native-value.js'

/*
 * The cookie: one character that names the seal, then base64url without padding.
 *
 *     signed:     1 <payload, 24 bytes> <HMAC-SHA-256, 32 bytes>
 *     encrypted:  2 <nonce, 12 bytes> <AES-256-GCM of the payload, 24 bytes> <tag, 16 bytes>
 *
 * The payload is the id (18 bytes) and the epoch second at which the browser drops the cookie (6 bytes, 0: on closing),
 * from which the server learns when to renew it. Both seals cover the version and the cookie's name: a value does not
 * verify under another name or another format.
 */
const SIGNED = '1'
const ENCRYPTED = '2'
const ID_BYTES = 18
const PAYLOAD_BYTES = ID_BYTES + 6
const MAC_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

const SIGNED_COOKIE = /^1[\w-]{75}$/
const ENCRYPTED_COOKIE = /^2[\w-]{70}$/
const PAYLOAD_TEXT_LENGTH = 32

/** Our own way of writing a session down: an authenticated cookie, a hashed key, a readable record. */
export function nativeDialect({ secrets, encryptKeys, cookieName, random }: DialectOptions): NativeDialect {
  const signing = secrets.map((secret) => deriveKey(secret, 'vishnu-cookie-v1 sign'))
  // Every pairing, since either list may be rotated first. A JSON array can't be read as two different pairs.
  const encrypting = secrets.flatMap((secret) =>
    encryptKeys.map((key) => deriveKey(JSON.stringify([secret, key]), 'vishnu-cookie-v1 encrypt')),
  )
  const encrypts = encrypting.length > 0
  const signedContext = `${SIGNED}\0${cookieName}\0`
  const encryptedContext = Buffer.from(`${ENCRYPTED}\0${cookieName}\0`)

  function mac(key: KeyObject, payload: string): string {
    return createHmac('sha256', key)
      .update(signedContext + payload)
      .digest('base64url')
  }

  function openSigned(text: string): OpenedCookie | undefined {
    const payload = text.slice(1, 1 + PAYLOAD_TEXT_LENGTH)
    // Compared as text, so that only the one canonical spelling of the MAC passes.
    const given = Buffer.from(text.slice(1 + PAYLOAD_TEXT_LENGTH))
    const index = signing.findIndex((key) => timingSafeEqual(Buffer.from(mac(key, payload)), given))
    return index === -1 ? undefined : readPayload(Buffer.from(payload, 'base64url'), index > 0 || encrypts)
  }

  function openEncrypted(text: string): OpenedCookie | undefined {
    const bytes = Buffer.from(text.slice(1), 'base64url')
    if (bytes.toString('base64url') !== text.slice(1)) return undefined
    for (const [index, key] of encrypting.entries()) {
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAAD(encryptedContext).setAuthTag(bytes.subarray(-TAG_BYTES))
      const payload = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES))
      try {
        decipher.final()
      } catch {
        continue
      }
      return readPayload(payload, index > 0)
    }
    return undefined
  }

  const decode = (sessionKey: string, encoded: EncodedValue): unknown => decodeValue(sessionKey, encoded as string)

  return {
    layout: 'native',
    duplicates: 'first',
    newId: (bytes = random) => Buffer.from(bytes(ID_BYTES)).toString('base64url'),

    // The first character chooses the seal; a value that fails it is not tried under the other (no weaker way in).
    open(text) {
      if (SIGNED_COOKIE.test(text)) return openSigned(text)
      if (ENCRYPTED_COOKIE.test(text)) return openEncrypted(text)
      return undefined
    },

    seal(id, expires) {
      const payload = Buffer.alloc(PAYLOAD_BYTES)
      payload.write(id, 'base64url')
      payload.writeUIntBE(expires, ID_BYTES, PAYLOAD_BYTES - ID_BYTES)
      const [encryptingKey] = encrypting
      if (encryptingKey) {
        const nonce = random(NONCE_BYTES)
        const cipher = createCipheriv('aes-256-gcm', encryptingKey, nonce, { authTagLength: TAG_BYTES })
        cipher.setAAD(encryptedContext)
        const sealed = Buffer.concat([nonce, cipher.update(payload), cipher.final(), cipher.getAuthTag()])
        return ENCRYPTED + sealed.toString('base64url')
      }
      const text = payload.toString('base64url')
      return SIGNED + text + mac(signing[0] as KeyObject, text)
    },

    // A hash, so that nobody who reads the store can make a cookie; without a secret, so that rotating it logs nobody out.
    key: (id) => hash('sha256', `vishnu-key-v1\0${id}`, 'base64url'),

    encode: (key, record) => ({ bytes: encodeRecord(key, record), record }),
    encodeTombstone,
    decode: decodeRecord,
    noValues,
    encodeValue,
    decodeValue: decode,
    decodePortable: decode,
    isShareable: (encoded) => isShareable(encoded as string),
  }
}

function readPayload(payload: Buffer, stale: boolean): OpenedCookie {
  return {
    id: payload.toString('base64url', 0, ID_BYTES),
    stale,
    expires: payload.readUIntBE(ID_BYTES, PAYLOAD_BYTES - ID_BYTES),
  }
}

/** One key for one purpose: a MAC of one kind is never valid as another, though all stem from the same secret. */
function deriveKey(secret: string, purpose: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', secret, '', purpose, MAC_BYTES)))
}
