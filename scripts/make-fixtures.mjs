// Usage: node scripts/make-fixtures.mjs <vishnu-python.json>
//
// Cuts the parts of the recorded behaviour of the Python library that this library shares down to what its tests read.
import { readFileSync, writeFileSync } from 'node:fs'
import { format } from 'prettier'

const recordingPath = process.argv[2]
if (recordingPath === undefined) throw new Error('Usage: node scripts/make-fixtures.mjs <vishnu-python.json>')
const { cookie_header_parsing: headers, config_validation: validation } = JSON.parse(
  readFileSync(recordingPath, 'utf8'),
)

const percentEncode = (value) => value.replace(/./g, (character) => `%${hex(character)}`)
const octalEscape = (value) =>
  value.replace(/./g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`)
const hex = (character) => character.charCodeAt(0).toString(16).padStart(2, '0')
const tamper = (value) => `${value.slice(0, 5)}0${value.slice(6)}`
const manyCookies = Array.from({ length: 1000 }, (_, index) => `c${index}=${'x'.repeat(50)}`).join('; ')

const placeholders = [
  ['<A>', headers.A_value],
  ['<B>', headers.B_value],
  ['<A tampered>', tamper(headers.A_value)],
  ['<A percent-encoded>', percentEncode(headers.A_value)],
  ['<A octal-escaped>', octalEscape(headers.A_value)],
  ['<1000 other cookies>', manyCookies],
]

await writeFixture('cookie-headers.json', {
  about:
    'Which session a Cookie header leads to: A or B, those of the cookie values <A> and <B>, or a new one. Where several are listed, each is right.',
  cases: headers.cases.map(({ id, cookie_header, cookie_name, expected, note }) => ({
    id,
    header: cookie_header === null ? null : shorten(cookie_header),
    cookieName: cookie_name,
    expected: expected.match(/\b(A|B|new)\b/g),
    note,
  })),
})

await writeFixture('config-validation.json', {
  about:
    'What the configuration of the Python library accepts. {"bytes_base64": ...} is a byte string, {"float": ...} a float.',
  cases: validation.session_config.map(({ id, config, outcome, note }) => ({ id, config, outcome, note })),
})

function shorten(header) {
  const short = placeholders.reduce((text, [placeholder, value]) => text.replaceAll(value, placeholder), header)
  if (short.length > 200) throw new Error(`This header needs a placeholder of its own: ${short.slice(0, 200)}`)
  return short
}

async function writeFixture(name, content) {
  const file = new URL(`../test/fixtures/${name}`, import.meta.url)
  writeFileSync(file, await format(JSON.stringify(content), { parser: 'json', printWidth: 120 }))
  console.log(`test/fixtures/${name}: ${content.cases.length} cases`)
}
