import { Buffer } from 'node:buffer'
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto'

export interface CookieCodecOptions {
  /** The first signs, all open. */
  readonly secrets: readonly string[]
  /** If any, cookies are encrypted, and signed-only ones are refused. The first encrypts, all open. */
  readonly encryptKeys: readonly string[]
  readonly random: (size: number) => Uint8Array
}

export interface CookieCodec {
  /**
   * The id in a cookie of the Python library, if its seal is ours; `stale` if another key than the first sealed it. Every
   * other text is undefined, whatever is wrong with it, after the same work for all texts of the right length.
   */
  open(text: string): { id: string; stale: boolean } | undefined
  seal(id: string): string
}

/*
 * The plain value is <HMAC-SHA512 of the id in hexadecimal, 128 characters> <id, 32 characters>. Encrypted it is
 * base64(iv + AES-256-CBC(SHA-256(key), iv, plain value)): 16 + 160 + 16 bytes of padding, 256 characters and never `=`.
 */
const SIGNED_COOKIE = /^[0-9a-f]{160}$/
const ENCRYPTED_COOKIE = /^[A-Za-z0-9+/]{256}$/
const MAC_LENGTH = 128
const PLAIN_LENGTH = 160
const IV_BYTES = 16
const PADDING = Buffer.alloc(16, 16)

export function cookieCodec({ secrets, encryptKeys, random }: CookieCodecOptions): CookieCodec {
  const signing = secrets.map((secret) => createSecretKey(Buffer.from(secret)))
  const encrypting = encryptKeys.map((key) => createHash('sha256').update(key).digest())

  function openSigned(plain: Buffer): { id: string; stale: boolean } | undefined {
    const id = plain.subarray(MAC_LENGTH)
    const index = signing.findIndex((key) => timingSafeEqual(mac(key, id), plain.subarray(0, MAC_LENGTH)))
    if (index === -1 || !SIGNED_COOKIE.test(plain.toString('latin1'))) return undefined
    return { id: id.toString('latin1'), stale: index > 0 }
  }

  function openEncrypted(sealed: Buffer): { id: string; stale: boolean } | undefined {
    for (const [index, key] of encrypting.entries()) {
      // The cipher's own check of the padding would answer before the MAC was looked at, which made the original an oracle.
      const decipher = createDecipheriv('aes-256-cbc', key, sealed.subarray(0, IV_BYTES)).setAutoPadding(false)
      const plain = Buffer.concat([decipher.update(sealed.subarray(IV_BYTES)), decipher.final()])
      const opened = openSigned(plain.subarray(0, PLAIN_LENGTH))
      if (opened && timingSafeEqual(plain.subarray(PLAIN_LENGTH), PADDING)) {
        return { id: opened.id, stale: opened.stale || index > 0 }
      }
    }
    return undefined
  }

  return {
    open(text) {
      if (encrypting.length === 0) return SIGNED_COOKIE.test(text) ? openSigned(Buffer.from(text)) : undefined
      return ENCRYPTED_COOKIE.test(text) ? openEncrypted(Buffer.from(text, 'base64')) : undefined
    },

    seal(id) {
      const plain = Buffer.concat([mac(signing[0] as KeyObject, id), Buffer.from(id)])
      const [key] = encrypting
      if (!key) return plain.toString('latin1')
      const iv = random(IV_BYTES)
      const cipher = createCipheriv('aes-256-cbc', key, iv)
      return Buffer.concat([iv, cipher.update(plain), cipher.final()]).toString('base64')
    },
  }
}

/** In hexadecimal and compared as such, so that only the one canonical spelling passes. */
function mac(key: KeyObject, id: string | Uint8Array): Buffer {
  return Buffer.from(createHmac('sha512', key).update(id).digest('hex'))
}
