import type { Backend } from '../src/backend.js'
import { describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { explain } from '../src/cli/inspect.js'
import { type Settings, settingsOf } from '../src/config.js'
import { createSessions } from '../src/sessions.js'
import { seededRandom } from './helpers/random.js'
import fixture from './fixtures/native-v1.json' with { type: 'json' }

const DEADLINE = 1_767_229_200_000
const BEFORE = DEADLINE - 1

/** As `redis-cli` prints a value on a terminal. */
function quoted(text: string): string {
  const escaped = JSON.stringify(Buffer.from(text).toString('latin1'))
  return escaped.replace(/[\x80-\xff]/g, (character) => `\\x${character.charCodeAt(0).toString(16)}`)
}

/** Settings that open the fixture's cookies, over a backend that holds its record. */
async function settingsFor({
  encrypts = false,
  record = fixture.record,
  secret = fixture.secret,
  now = BEFORE,
} = {}): Promise<Settings> {
  const backend = memory()
  await backend.create(fixture.key, Buffer.from(record), DEADLINE, BEFORE)
  const { cookieName, encryptKey } = fixture
  const given = { secret, cookieName, backend, clock: () => now, ...(encrypts && { encryptKey }) }
  return settingsOf.get(createSessions(given)) as Settings
}

async function explained(input: string | Uint8Array, settings?: Settings, showValues = false): Promise<string> {
  const { text } = await explain(Buffer.from(input), settings, showValues)
  return text
}

const secrets = [fixture.id, fixture.secret, fixture.encryptKey, fixture.key, fixture.successor]
const cookies = [fixture.signedCookie, fixture.encryptedCookie]

describe('a cookie without the configuration', () => {
  test('is explained by what its seal leaves readable', async () => {
    expect(await explained(`${fixture.signedCookie}\n`)).toBe(
      [
        'A cookie, format 1: signed',
        '  size     76 bytes without its name; browsers take 4,096',
        '  expires  2026-01-01T01:00:00.000Z',
        '  seal     not checked: pass --config',
        '',
      ].join('\n'),
    )
    const encrypted = await explained(fixture.encryptedCookie)
    expect(encrypted).toMatch(/format 2: encrypted/)
    expect(encrypted).not.toMatch(/expires/)
  })

  const headers: [name: string, header: string][] = [
    ['a Cookie header', `Cookie: theme=dark; __Host-id=${fixture.signedCookie}; a=1`],
    ['its value', `theme=dark; __Host-id=${fixture.signedCookie}`],
    ['a Set-Cookie header', `set-cookie: __Host-id=${fixture.signedCookie}; Path=/; Secure; HttpOnly`],
    ['its value', `__Host-id=${fixture.signedCookie}; Max-Age=60; Path=/; Secure`],
    [
      'a response as curl shows it',
      `HTTP/2 200\r\n< set-cookie: theme=dark; Path=/\r\n< Set-Cookie: __Host-id=${fixture.signedCookie}; Path=/\r\n\r\n<html>`,
    ],
  ]
  test.each(headers)('is found in %s: %s', async (_, header) => {
    const text = await explained(header)
    expect(text).toMatch(/^The cookie __Host-id, format 1: signed\n {2}size +85 bytes; browsers take 4,096\n/)
    expect(text.match(/format/g)).toHaveLength(1)
  })

  test('has its attributes explained where a header sets them', async () => {
    const text = await explained(`Set-Cookie: __Host-id=${fixture.signedCookie}; Max-Age=60; Path=/; Secure`)
    expect(text).toContain('  attributes  Max-Age=60; Path=/; Secure\n')
  })

  test.each([
    `Set-Cookie: __Host-id=${fixture.signedCookie}; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Path=/, auth=hidden; Path=/x`,
    `Set-Cookie: auth=hidden; Secure, __Host-id=${fixture.signedCookie}; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Path=/`,
    `__Host-id=${fixture.signedCookie}; Expires=Wed, 09 Jun 2027 10:18:14 GMT; Path=/; auth=hidden; secure=hidden`,
  ])('is explained without the other cookies beside it: %s', async (header) => {
    const text = await explained(header)
    expect(text).toContain('  attributes  Expires=Wed, 09 Jun 2027 10:18:14 GMT; Path=/\n')
    expect(text).not.toContain('hidden')
  })

  test.each(['', 'hello', 'theme=dark', 'Cookie: theme=dark', `1${'A'.repeat(74)}`, '{"a":1}'])(
    'that is none of ours is ERR_INPUT: %s',
    async (input) => {
      await expect(explained(input)).rejects.toMatchObject({
        code: 'ERR_INPUT',
        message: 'standard input holds neither a cookie of ours nor a stored record',
      })
    },
  )
})

describe('a cookie with the configuration', () => {
  test.each(cookies)('is opened, and the session behind it is explained: %s', async (cookie) => {
    const { text, isSound } = await explain(
      Buffer.from(cookie),
      await settingsFor({ encrypts: cookie.startsWith('2') }),
      false,
    )
    expect(isSound).toBe(true)
    expect(text).toContain('  expires  2026-01-01T01:00:00.000Z\n')
    expect(text).toContain('  seal     opens, with the current key\n')
    expect(text).toMatch(/A session\n[\s\S]*public id +cHVibGljaWQx\n/)
  })

  test('that an older key has sealed says so', async () => {
    const settings = await settingsFor({ encrypts: true })
    expect(await explained(fixture.signedCookie, settings)).toContain(
      'opens, with an older key: it will be sealed anew',
    )
  })

  test('that does not open is not sound, and nothing is read for it', async () => {
    const settings = await settingsFor({ secret: 'another secret that is long enough' })
    const { text, isSound } = await explain(Buffer.from(fixture.signedCookie), settings, false)
    expect(isSound).toBe(false)
    expect(text).toMatch(/seal +does not open/)
    expect(text).not.toMatch(/session/)
  })

  test('of another name, or of no format of ours, is told as such', async () => {
    const settings = await settingsFor()
    await expect(explained(`Cookie: id=${fixture.signedCookie}`, settings)).rejects.toThrow('a cookie named __Host-id')
    const { text, isSound } = await explain(Buffer.from('Cookie: __Host-id=forged'), settings, false)
    expect(isSound).toBe(false)
    expect(text).toMatch(/^The cookie __Host-id, not in our own format\n/)
  })

  test('that a response removes is explained', async () => {
    const { text, isSound } = await explain(
      Buffer.from('Set-Cookie: __Host-id=; Max-Age=0; Path=/; Secure'),
      await settingsFor(),
      false,
    )
    expect(isSound).toBe(true)
    expect(text).toMatch(/^The cookie __Host-id, removed by an empty value\n/)
  })

  test('whose session has ended shows what ended it', async () => {
    const loggedOut = await settingsFor({ record: fixture.tombstone })
    expect(await explained(fixture.signedCookie, loggedOut)).toMatch(/tombstone[\s\S]*ended by +a log-out\n/)
    const expired = await settingsFor({})
    await (expired.backend as Backend).delete(fixture.key)
    expect(await explained(fixture.signedCookie, expired)).toContain(
      'No session behind it: it has expired or was removed',
    )
  })
})

describe('a record', () => {
  test('has its header explained and its keys listed, without the values', async () => {
    expect(await explained(fixture.record)).toBe(
      [
        'A session',
        '  size           387 bytes',
        '  public id      cHVibGljaWQx',
        '  created        2026-01-01T00:00:00.000Z',
        '  ends at last   2026-01-02T00:00:00.000Z',
        '  timeout        3,600 seconds',
        '  values         7, shown with --values',
        '    "user"       32 bytes',
        '    "café 😀"    9 bytes',
        '    "__proto__"  15 bytes',
        '    "since"      38 bytes',
        '    "cart"       57 bytes',
        '    "nothing"    3 bytes',
        '    "bytes"      42 bytes',
        '',
      ].join('\n'),
    )
  })

  test('shows its values if it is asked to', async () => {
    const text = await explained(fixture.record, undefined, true)
    expect(text).toContain(`"user"       { name: 'ada', roles: [ 'admin' ] }`)
    expect(text).toContain(`"cart"       Map(1) { 'apples' => 12345678901234567890n }`)
    expect(text).toContain('"since"      2026-01-01T00:00:00.000Z')
  })

  const head = `${'t'.repeat(22)}${DEADLINE}\n`
  const ends = '  ends           2026-01-01T01:00:00.000Z, if it is not used before\n'
  const printed: [how: string, text: string, end: string][] = [
    ['with a newline after it', `${fixture.record}\n`, ''],
    ['as Redis and Memcached keep it', head + fixture.record, ends],
    ['with both', `${head}${fixture.record}\n`, ends],
    ['quoted as redis-cli does', `${quoted(head + fixture.record)}\n`, ends],
  ]
  test.each(printed)('is recognised %s', async (_, text, end) => {
    const { isSound, text: explanation } = await explain(Buffer.from(text), undefined, false)
    expect(isSound).toBe(true)
    expect(explanation).toContain(`  size           387 bytes\n${end}  public id`)
    expect(explanation).toContain('"café 😀"    9 bytes')
  })

  test.each([
    [fixture.tombstone, 'a log-out'],
    [fixture.rotationTombstone, 'a move to a new id'],
  ])('that is a tombstone tells what ended the session: %s', async (record, reason) => {
    expect(await explained(record)).toMatch(new RegExp(`^The tombstone .*\\n.*\\n +ended by +${reason}\\n$`))
  })

  test('that was truncated is not sound', async () => {
    const { text, isSound } = await explain(Buffer.from(fixture.record.slice(0, -9)), undefined, false)
    expect(isSound).toBe(false)
    expect(text).toMatch(/^A damaged record\n[\s\S]*problem +it should have 268 bytes/)
  })

  test('with one damaged line shows the others', async () => {
    const text = await explained(fixture.record.replace('{"name"', '{"nam'), undefined, true)
    expect(text).toMatch(/A damaged record/)
    const line = await explained(fixture.record.replace('{"name"', '{"name}'), undefined, true)
    expect(line).toMatch(/"user" +damaged: /)
    expect(line).toContain('"cart"       Map(1)')
  })
})

describe('whatever comes in', () => {
  const hostile = '\u001b]0;pwned\u0007\u009b31m\u202e\u2028\r'
  const record = (text: string): string => {
    const line = `${JSON.stringify(text)}\t${JSON.stringify(text)}\n`
    return `vishnu1 ${'k'.repeat(43)} s 9007199254740991 -1 - ${text.replaceAll(' ', '')} ${Buffer.byteLength(line)}\n${line}`
  }

  /** What a terminal might take for a command, and what turns the direction of reading. */
  const COMMANDS = /[^\P{C}\n]/u

  test('a terminal is shown no command in it', async () => {
    const inputs = [
      record(hostile),
      `Cookie: ${hostile}=${fixture.signedCookie}`,
      `Set-Cookie: a${hostile}b=${fixture.signedCookie}; Path=${hostile}`,
      `vishnu1 ${hostile} s gone -\n`,
    ]
    for (const input of inputs) {
      const text = await explained(input, undefined, true).catch((error: Error) => error.message)
      expect(text).not.toMatch(COMMANDS)
    }
    expect(await explained(record(hostile), undefined, true)).toContain(String.raw`\x1b]0;pwned\x07`)
  })

  test('10,000 mutations of cookies and records are explained or refused', { timeout: 60_000 }, async () => {
    const settings = await settingsFor()
    const random = seededRandom('mutations')
    const seeds = [fixture.record, fixture.tombstone, record(hostile), `Cookie: __Host-id=${fixture.signedCookie}`]
    for (let round = 0; round < 10_000; round++) {
      const seed = Buffer.from(seeds[round % seeds.length] ?? '')
      const [place = 0, value = 0, cut = 0] = random(3)
      seed[(place * seed.length) >> 8] = value
      const input = cut < 64 ? seed.subarray(0, cut) : seed
      const { text, code } = await explain(input, settings, true).then(
        (explanation) => ({ ...explanation, code: undefined }),
        (error: Error & { code?: string }) => ({ text: error.message, code: error.code ?? 'no code' }),
      )
      expect([undefined, 'ERR_INPUT']).toContain(code)
      expect(text).not.toMatch(COMMANDS)
    }
  })

  test('no id, secret or store key is ever printed', async () => {
    for (const settings of [undefined, await settingsFor({ encrypts: true })]) {
      for (const input of [...cookies, fixture.record, fixture.tombstone, fixture.rotationTombstone]) {
        const text = await explained(input, settings, true)
        for (const secret of secrets) expect(text).not.toContain(secret)
      }
    }
  })

  test.each(['a', ' ', '\n', 'a=', 'a;', ',;', '= ', '"', 'cookie:', '; '])(
    'a megabyte of %j is refused at once',
    async (piece) => {
      const input = piece.repeat(1_000_000 / piece.length)
      await expect(explained(input)).rejects.toMatchObject({ code: 'ERR_INPUT' })
    },
  )

  test('a record of very many keys is explained at once', async () => {
    const lines = Array.from({ length: 200_000 }, (_, index) => `"${index}"\t1\n`).join('')
    const text = await explained(`vishnu1 ${'k'.repeat(43)} s 0 0 - p ${lines.length}\n${lines}`)
    expect(text).toContain('values        200,000, shown with --values')
    expect(text).toContain('and 199,500 more')
  })
})
