import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type CookieCodec, cookieCodec } from '../src/dialects/vishnu-python/cookie.js'
import { cookies, type RecordedCookie } from './helpers/python-fixtures.js'

const SECRETS = ['an old secret of more than 32 characters', 'another secret of more than 32 characters']
const KEYS = ['an encryption key of more than 32 characters', 'one more encryption key of 32 characters']
const ID = '0123456789abcdef0123456789abcdef'

function codecOf({ secret, encryptKey, iv }: RecordedCookie): CookieCodec {
  const random = (size: number): Uint8Array => (iv === undefined ? randomBytes(size) : Buffer.from(iv, 'hex'))
  return cookieCodec({ secrets: [secret], encryptKeys: encryptKey === undefined ? [] : [encryptKey], random })
}

function codec(secrets: readonly string[], encryptKeys: readonly string[] = []): CookieCodec {
  return cookieCodec({ secrets, encryptKeys, random: randomBytes })
}

const signed = codec(SECRETS.slice(0, 1))
const encrypted = codec(SECRETS.slice(0, 1), KEYS.slice(0, 1))

describe('the cookies of the Python library', () => {
  const named = cookies.map((cookie): [string, RecordedCookie] => [cookie.id, cookie])

  test.each(named.filter(([, { expected }]) => expected === 'accept'))('%s opens', (_, cookie) => {
    expect(codecOf(cookie).open(cookie.value)).toEqual({ id: cookie.sid, stale: false })
  })

  test.each(named.filter(([, { expected }]) => expected === 'reject'))('%s is no session', (_, cookie) => {
    expect(codecOf(cookie).open(cookie.value)).toBeUndefined()
  })

  test('whose id Python never makes are no session', () => {
    const odd = cookies.filter(({ id }) => /^odd-sid-(?!nil|all-f)/.test(id))
    expect(odd.length).toBeGreaterThan(5)
    for (const cookie of odd) expect([cookie.id, codecOf(cookie).open(cookie.value)]).toEqual([cookie.id, undefined])
  })

  test('are sealed to the same text', () => {
    const recorded = cookies.filter(({ expected, iv, encryptKey }) => expected === 'accept' && !(encryptKey && !iv))
    expect(recorded.length).toBeGreaterThan(100)
    for (const cookie of recorded) expect(codecOf(cookie).seal(cookie.sid ?? '')).toBe(cookie.value)
  })
})

describe('a cookie', () => {
  const alphabet = Array.from({ length: 0x7f - 0x20 }, (_, index) => String.fromCharCode(0x20 + index))

  /** The text with each of its characters replaced by each of these. */
  function changesOf(text: string, characters: readonly string[]): string[] {
    const places = Array.from({ length: text.length }, (_, at) => at)
    const changed = places.flatMap((at) =>
      characters.map((character) => text.slice(0, at) + character + text.slice(at + 1)),
    )
    return changed.filter((one) => one !== text)
  }

  test('with any one character of its signature or id changed is no session', () => {
    const changes = changesOf(signed.seal(ID), [...alphabet, '\0', '\n', 'é', ''])
    expect(changes.filter((text) => signed.open(text) !== undefined)).toEqual([])
  })

  test('with any one character of its encrypted text changed is no session', () => {
    const changes = changesOf(encrypted.seal(ID), ['A', 'b', '9', '/', '+', '=', '-', ' ', ''])
    expect(changes.filter((text) => encrypted.open(text) !== undefined)).toEqual([])
  })

  test('opens under every pair of a secret and a key, and is stale under all but the first', () => {
    const rings = codec(SECRETS, KEYS)
    for (const secret of SECRETS) {
      for (const key of KEYS) {
        const stale = secret !== SECRETS[0] || key !== KEYS[0]
        expect(rings.open(codec([secret], [key]).seal(ID))).toEqual({ id: ID, stale })
      }
    }
    expect(codec(SECRETS).open(codec(SECRETS.slice(1)).seal(ID))).toEqual({ id: ID, stale: true })
    expect(codec(SECRETS).open(codec(['a secret that is not on the ring, long enough']).seal(ID))).toBeUndefined()
  })

  test('is sealed under the first secret and the first key', () => {
    expect(encrypted.open(codec(SECRETS, KEYS).seal(ID))).toEqual({ id: ID, stale: false })
    expect(signed.open(codec(SECRETS).seal(ID))).toEqual({ id: ID, stale: false })
  })

  test('that is only signed is no session where cookies are encrypted, and the other way round', () => {
    expect(encrypted.open(signed.seal(ID))).toBeUndefined()
    expect(signed.open(encrypted.seal(ID))).toBeUndefined()
  })

  test('with an id that Python never makes is no session, though its seal is right', () => {
    for (const id of ['Z'.repeat(32), ID.toUpperCase(), `${ID.slice(0, 30)}\r\n`]) {
      expect(encrypted.open(encrypted.seal(id))).toBeUndefined()
      expect(signed.open(signed.seal(id))).toBeUndefined()
    }
  })

  test('is encrypted to another text each time', () => {
    expect(encrypted.seal(ID)).not.toBe(encrypted.seal(ID))
  })
})
