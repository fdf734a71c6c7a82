// Usage: node scripts/make-native-fixture.mjs
//
// Writes down one session in version 1 of the native format, from the format's description and without the library: tests
// hold the two against each other. What it writes must open for ever. It is kept to show how the fixture came to be; a new
// version of the format gets a fixture of its own.
import { createCipheriv, createHash, createHmac, hkdfSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { format } from 'prettier'

const secret = 'a recorded secret: 32 characters or more'
const encryptKey = 'a recorded encryption key, also that long'
const cookieName = '__Host-id'
const expires = 1_767_229_200
const idBytes = Buffer.from('000102030405060708090a0b0c0d0e0f1011', 'hex')
const nonce = Buffer.from('a0a1a2a3a4a5a6a7a8a9aaab', 'hex')

const id = idBytes.toString('base64url')
const key = keyOf(id)
const successor = keyOf(Buffer.alloc(18, 0xff).toString('base64url'))
const payload = Buffer.concat([idBytes, Buffer.from(expires.toString(16).padStart(12, '0'), 'hex')])

const values = [
  ['user', '{"name":"ada","roles":["admin"]}'],
  ['caf\u00e9 \ud83d\ude00', '"\u00fcber\\n"'],
  ['__proto__', '{"__proto__":1}'],
  ['since', '~[["Date","2026-01-01T00:00:00.000Z"]]'],
  ['cart', '~[["Map",1,2],"apples",["BigInt","12345678901234567890"]]'],
  ['nothing', '~-1'],
  ['bytes', '~[["Uint8Array",1],["ArrayBuffer","AQID"]]'],
]
const lines = values.map(([name, value]) => `${JSON.stringify(name)}\t${value}\n`).join('')
const header = ['vishnu1', key, 'c3RhbXAtc3RhbXAx', 1767225600000, 1767312000000, 3600, 'cHVibGljaWQx']

const fixture = {
  about:
    'Made by scripts/make-native-fixture.mjs: one session in version 1 of the native format. It must open for ever.',
  secret,
  encryptKey,
  cookieName,
  id,
  expires,
  key,
  signedCookie: sign(),
  encryptedCookie: encrypt(),
  record: `${header.join(' ')} ${Buffer.byteLength(lines)}\n${lines}`,
  successor,
  tombstone: `vishnu1 ${key} c3RhbXAtc3RhbXAy gone -\n`,
  rotationTombstone: `vishnu1 ${key} c3RhbXAtc3RhbXAz gone ${successor}\n`,
}
const file = new URL('../test/fixtures/native-v1.json', import.meta.url)
writeFileSync(file, await format(JSON.stringify(fixture), { parser: 'json', printWidth: 120 }))

function keyOf(sessionId) {
  return createHash('sha256').update(`vishnu-key-v1\0${sessionId}`).digest('base64url')
}

function derive(material, purpose) {
  return Buffer.from(hkdfSync('sha256', material, '', purpose, 32))
}

function sign() {
  const text = payload.toString('base64url')
  const mac = createHmac('sha256', derive(secret, 'vishnu-cookie-v1 sign')).update(`1\0${cookieName}\0${text}`)
  return `1${text}${mac.digest('base64url')}`
}

function encrypt() {
  const aesKey = derive(JSON.stringify([secret, encryptKey]), 'vishnu-cookie-v1 encrypt')
  const cipher = createCipheriv('aes-256-gcm', aesKey, nonce).setAAD(Buffer.from(`2\0${cookieName}\0`))
  const sealed = [nonce, cipher.update(payload), cipher.final(), cipher.getAuthTag()]
  return `2${Buffer.concat(sealed).toString('base64url')}`
}
