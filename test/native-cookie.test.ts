import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Dialect } from '../src/dialect.js'
import { nativeDialect } from '../src/dialects/native.js'
import recorded from './fixtures/native-v1.json' with { type: 'json' }
import { seededRandom } from './helpers/random.js'
import { counterexample } from './helpers/unit-property.js'

const [S1, S2, S3] = ['first secret', 'second secret', 'third secret'].map((text) => text.padEnd(32, '.')) as [
  string,
  string,
  string,
]
const [K1, K2] = ['first key', 'second key'].map((text) => text.padEnd(32, '.')) as [string, string]
const EXPIRES = 1_767_225_600

interface Options {
  secrets?: string[]
  encryptKeys?: string[]
  cookieName?: string
  seed?: string
}

function dialect({ secrets = [S1], encryptKeys = [], cookieName = 'vishnu', seed = 'cookie' }: Options = {}): Dialect {
  return nativeDialect({ secrets, encryptKeys, cookieName, random: seededRandom(seed) })
}

const seals: [string, Options][] = [
  ['signed', {}],
  ['encrypted', { encryptKeys: [K1] }],
]

describe.each(seals)('a cookie, %s,', (kind, options) => {
  const ours = dialect(options)
  const id = ours.newId()
  const cookie = ours.seal(id, EXPIRES)
  const alphabet = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']

  test('opens to what was sealed', () => {
    expect(ours.open(cookie)).toEqual({ id, stale: false, expires: EXPIRES })
    for (const expires of [0, 1, EXPIRES, 2 ** 48 - 1]) {
      expect(ours.open(ours.seal(id, expires))).toEqual({ id, stale: false, expires })
    }
  })

  test('opens on another machine with the same configuration', () => {
    expect(dialect({ ...options, seed: 'another' }).open(cookie)).toEqual({ id, stale: false, expires: EXPIRES })
  })

  test('is short, and safe in a header without encoding', () => {
    expect(cookie).toMatch(kind === 'signed' ? /^1[\w-]{75}$/ : /^2[\w-]{70}$/)
  })

  test('is rejected when any one character is any other', () => {
    const strange = ['=', '+', '/', '.', ' ', '\0', '\n', 'é', '😀']
    const changed = [...cookie].flatMap((_, at) =>
      [...alphabet, ...strange].map((character) => cookie.slice(0, at) + character + cookie.slice(at + 1)),
    )
    const accepted = changed.filter((text) => ours.open(text))
    expect(new Set(accepted)).toEqual(new Set([cookie]))
    expect(accepted).toHaveLength(cookie.length)
  })

  test('has one spelling: bits of the last character that base64url ignores are not ignored', () => {
    const bytes = Buffer.from(cookie.slice(1), 'base64url')
    const twins = alphabet
      .map((character) => cookie.slice(0, -1) + character)
      .filter((twin) => Buffer.from(twin.slice(1), 'base64url').equals(bytes))
    expect(twins.length).toBeGreaterThan(1)
    expect(twins.filter((twin) => ours.open(twin))).toEqual([cookie])
  })

  test('is rejected when it is cut off, or goes on', () => {
    for (let length = 0; length < cookie.length; length++) expect(ours.open(cookie.slice(0, length))).toBeUndefined()
    for (let start = 1; start < cookie.length; start++) expect(ours.open(cookie.slice(start))).toBeUndefined()
    for (const more of ['A', '=', '==', ' ', '\n', '\0', 'A'.repeat(4), cookie, `; ${cookie}`]) {
      expect(ours.open(cookie + more)).toBeUndefined()
      expect(ours.open(more + cookie)).toBeUndefined()
    }
  })

  test('is rejected when two characters change places', () => {
    for (let position = 1; position < cookie.length; position++) {
      const [one = '', two = ''] = cookie.slice(position - 1, position + 1)
      if (one === two) continue
      expect(ours.open(cookie.slice(0, position - 1) + two + one + cookie.slice(position + 1))).toBeUndefined()
    }
  })

  test('is rejected under another cookie name, so that one cookie can not pass for another', () => {
    for (const cookieName of ['vishnu2', 'Vishnu', 'vishn', '__Host-vishnu', 'vishnu\0']) {
      expect(dialect({ ...options, cookieName }).open(cookie)).toBeUndefined()
    }
  })

  test('is rejected under another secret', () => {
    expect(dialect({ ...options, secrets: [S2] }).open(cookie)).toBeUndefined()
    expect(dialect({ ...options, secrets: [`${S1}.`] }).open(cookie)).toBeUndefined()
  })

  test('is rejected when parts of two genuine ones are put together', () => {
    const other = ours.seal(ours.newId(), EXPIRES)
    const cuts = Array.from({ length: cookie.length }, (_, cut) => cookie.slice(0, cut) + other.slice(cut))
    const mixed = cuts.filter((text) => text !== cookie && text !== other)
    expect(mixed.length).toBeGreaterThan(50)
    expect(mixed.filter((text) => ours.open(text))).toEqual([])
  })

  test('none of 10,000 mutated and made-up ones is accepted', () => {
    const position = fc.nat(cookie.length - 1)
    const edits = fc.array(fc.tuple(position, fc.constantFrom(...alphabet)), { minLength: 1, maxLength: 12 })
    const mutated = edits.map((list) =>
      list.reduce((text, [at, character]) => text.slice(0, at) + character + text.slice(at + 1), cookie),
    )
    const body = fc.string({ unit: fc.constantFrom(...alphabet), minLength: 75, maxLength: 75 })
    const madeUp = fc.oneof(
      body.map((text) => `1${text}`),
      body.map((text) => `2${text.slice(5)}`),
      body.map((text) => cookie.slice(0, 33) + text.slice(33)),
    )
    const anything = fc.oneof({ weight: 6, arbitrary: mutated }, { weight: 3, arbitrary: madeUp }, fc.string())
    const isRejected = fc.property(anything, (text) => text === cookie || ours.open(text) === undefined)
    expect(counterexample(isRejected, 10_000)).toBeUndefined()
  })
})

describe('open', () => {
  const hostile = [
    '',
    ' ',
    '1',
    '2',
    '3',
    'é',
    '😀',
    '\0',
    '\ud800',
    '[object Object]',
    'undefined',
    `1${'é'.repeat(75)}`,
    `1${'\ud83d'.repeat(75)}`,
    `2${'='.repeat(70)}`,
    `2${'A'.repeat(70)}`,
    `1${'A'.repeat(75)}`,
    `1${'A'.repeat(75)}\n`,
    `\n1${'A'.repeat(75)}`,
    '1'.repeat(1_000_000),
    `1${'A'.repeat(10_000_000)}`,
  ]

  test.each(seals)('rejects malformed, huge and non-ASCII text without throwing (%s)', (_, options) => {
    const ours = dialect(options)
    for (const text of hostile) expect(ours.open(text)).toBeUndefined()
  })

  test('never takes the cookie of one seal for one of the other', () => {
    const signed = dialect().seal(dialect().newId(), 0)
    const encrypted = dialect({ encryptKeys: [K1] }).seal(dialect().newId(), 0)
    for (const ours of [dialect(), dialect({ encryptKeys: [K1] })]) {
      expect(ours.open(`2${signed.slice(1)}`)).toBeUndefined()
      expect(ours.open(`2${signed.slice(1, 71)}`)).toBeUndefined()
      expect(ours.open(`1${encrypted.slice(1)}`)).toBeUndefined()
      expect(ours.open(`1${encrypted.slice(1)}AAAAA`)).toBeUndefined()
    }
  })

  test('does not read an encrypted cookie without the key', () => {
    const encrypted = dialect({ encryptKeys: [K1] }).seal(dialect().newId(), 0)
    expect(dialect().open(encrypted)).toBeUndefined()
    expect(dialect({ encryptKeys: [K2] }).open(encrypted)).toBeUndefined()
  })

  test('a secret and a key that trade places, or flow into each other, are other keys', () => {
    const encrypted = dialect({ secrets: [S1], encryptKeys: [K1] }).seal(dialect().newId(), 0)
    expect(dialect({ secrets: [K1], encryptKeys: [S1] }).open(encrypted)).toBeUndefined()
    const pair = (secret: string, key: string): Dialect => dialect({ secrets: [secret], encryptKeys: [key] })
    const shifted = pair(`${S1}","x`, K1).seal(dialect().newId(), 0)
    expect(pair(S1, `x","${K1}`).open(shifted)).toBeUndefined()
  })
})

describe('key rings', () => {
  const id = dialect().newId()
  const sealedBy = (options: Options): string => dialect(options).seal(id, EXPIRES)

  test.each([
    ['the only secret', { secrets: [S1] }, { secrets: [S1] }, false],
    ['the first secret of several', { secrets: [S1] }, { secrets: [S1, S2] }, false],
    ['a secret that was moved back', { secrets: [S1] }, { secrets: [S2, S1] }, true],
    ['the last secret of three', { secrets: [S1] }, { secrets: [S3, S2, S1] }, true],
    ['a secret that was dropped', { secrets: [S1] }, { secrets: [S3, S2] }, undefined],
    ['a later secret of a list', { secrets: [S2, S1] }, { secrets: [S1] }, undefined],
    ['a signature from before there was a key', { secrets: [S1] }, { secrets: [S1], encryptKeys: [K1] }, true],
    ['an old signature, before there was a key', { secrets: [S1] }, { secrets: [S2, S1], encryptKeys: [K1] }, true],
    ['the only pair', { secrets: [S1], encryptKeys: [K1] }, { secrets: [S1], encryptKeys: [K1] }, false],
    ['a new key in front', { secrets: [S1], encryptKeys: [K1] }, { secrets: [S1], encryptKeys: [K2, K1] }, true],
    ['a new secret in front', { secrets: [S1], encryptKeys: [K1] }, { secrets: [S2, S1], encryptKeys: [K1] }, true],
    ['both in front', { secrets: [S1], encryptKeys: [K1] }, { secrets: [S2, S1], encryptKeys: [K2, K1] }, true],
    ['a new key behind', { secrets: [S1], encryptKeys: [K1] }, { secrets: [S1], encryptKeys: [K1, K2] }, false],
    ['a new secret behind', { secrets: [S1], encryptKeys: [K1] }, { secrets: [S1, S2], encryptKeys: [K1] }, false],
    ['a key that was dropped', { secrets: [S1], encryptKeys: [K1] }, { secrets: [S1], encryptKeys: [K2] }, undefined],
    ['encryption turned off', { secrets: [S1], encryptKeys: [K1] }, { secrets: [S1] }, undefined],
  ])('a cookie of %s', (_, before, after, stale) => {
    const expected = stale === undefined ? undefined : { id, stale, expires: EXPIRES }
    expect(dialect(after).open(sealedBy(before))).toEqual(expected)
  })

  test('every one of 8 secrets and 8 keys opens, and only the first pair is not stale', () => {
    const secrets = Array.from({ length: 8 }, (_, index) => `secret ${index}`.padEnd(32, '.'))
    const encryptKeys = Array.from({ length: 8 }, (_, index) => `key ${index}`.padEnd(32, '.'))
    const ours = dialect({ secrets, encryptKeys })
    for (const secret of secrets) {
      for (const key of encryptKeys) {
        const opened = ours.open(sealedBy({ secrets: [secret], encryptKeys: [key] }))
        expect(opened).toEqual({ id, stale: secret !== secrets[0] || key !== encryptKeys[0], expires: EXPIRES })
      }
      expect(ours.open(sealedBy({ secrets: [secret] }))).toMatchObject({ id, stale: true })
    }
  })

  test('what was sealed anew under the first pair is stale no longer', () => {
    const after = dialect({ secrets: [S2, S1], encryptKeys: [K2, K1] })
    const opened = after.open(sealedBy({ secrets: [S1], encryptKeys: [K1] }))
    expect(after.open(after.seal(opened?.id ?? '', EXPIRES))).toEqual({ id, stale: false, expires: EXPIRES })
  })
})

describe('an encrypted cookie hides the id', () => {
  const ours = dialect({ encryptKeys: [K1] })
  const id = ours.newId()

  test('it holds no part of it', () => {
    const bytes = Buffer.from(ours.seal(id, EXPIRES).slice(1), 'base64url').toString('hex')
    expect(bytes).not.toContain(Buffer.from(id, 'base64url').toString('hex').slice(0, 12))
  })

  test('the same session looks different each time', () => {
    expect(new Set(Array.from({ length: 1000 }, () => ours.seal(id, EXPIRES))).size).toBe(1000)
  })
})

describe('ids', () => {
  test('are the 18 bytes that the random source gave, in 24 characters', () => {
    const bytes = Uint8Array.from({ length: 18 }, (_, index) => index)
    const sizes: number[] = []
    const random = (size: number): Uint8Array => {
      sizes.push(size)
      return bytes.slice(0, size)
    }
    const id = nativeDialect({ secrets: [S1], encryptKeys: [], cookieName: 'a', random }).newId()
    expect(sizes).toEqual([18])
    expect(id).toBe(Buffer.from(bytes).toString('base64url'))
    expect(id).toHaveLength(24)
  })

  test('are never given twice', () => {
    const ours = dialect()
    expect(new Set(Array.from({ length: 10_000 }, () => ours.newId())).size).toBe(10_000)
  })
})

describe('store keys', () => {
  test('are SHA-256 of the id with a prefix of its own, in base64url', () => {
    const ours = dialect()
    for (let round = 0; round < 100; round++) {
      const id = ours.newId()
      const expected = createHash('sha256').update(Buffer.concat([Buffer.from('vishnu-key-v1\0'), Buffer.from(id)]))
      expect(ours.key(id)).toBe(expected.digest('base64url'))
      expect(ours.key(id)).toMatch(/^[\w-]{43}$/)
      expect(ours.key(id)).not.toContain(id)
    }
  })

  test('do not depend on secrets, keys or the name of the cookie, so changing those logs nobody out', () => {
    const id = dialect().newId()
    const keys = [{}, { secrets: [S2] }, { encryptKeys: [K1] }, { cookieName: '__Host-id' }].map((options) =>
      dialect(options).key(id),
    )
    expect(new Set(keys).size).toBe(1)
  })
})

describe('the recorded cookies of version 1', () => {
  const { secret, encryptKey, cookieName, id, expires, key, signedCookie, encryptedCookie } = recorded

  test('open', () => {
    const signing = dialect({ secrets: [secret], cookieName })
    const encrypting = dialect({ secrets: [secret], encryptKeys: [encryptKey], cookieName })
    expect(signing.open(signedCookie)).toEqual({ id, stale: false, expires })
    expect(encrypting.open(encryptedCookie)).toEqual({ id, stale: false, expires })
    expect(encrypting.open(signedCookie)).toEqual({ id, stale: true, expires })
    expect(signing.key(id)).toBe(key)
  })

  test('are what is still written', () => {
    const nonce = Buffer.from('a0a1a2a3a4a5a6a7a8a9aaab', 'hex')
    const seal = (encryptKeys: string[]): string =>
      nativeDialect({ secrets: [secret], encryptKeys, cookieName, random: () => nonce }).seal(id, expires)
    expect(seal([])).toBe(signedCookie)
    expect(seal([encryptKey])).toBe(encryptedCookie)
  })
})
