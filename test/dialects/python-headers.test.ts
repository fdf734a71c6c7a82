import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { PlainBackend } from '../../src/backend.js'
import { cookieCodec } from '../../src/dialects/vishnu-python/cookie.js'
import { vishnuPython } from '../../src/dialects/vishnu-python.js'
import { createSessions, TIMEOUT_SESSION } from '../../src/index.js'
import { manualClock } from '../helpers/clock.js'
import { CookieJar, type StoredCookie } from '../helpers/cookie-jar.js'
import { headers, type RecordedHeader, utc } from '../helpers/python-middleware.js'
import { shareRedis, type SharedRedis } from '../helpers/python-sharing.js'

let shared: SharedRedis
let backend: PlainBackend
beforeAll(async () => {
  shared = await shareRedis()
  backend = shared.connect()
})
afterAll(() => shared.stop())
afterEach(() => shared.raw.flushall())

/*
 * Ours are not the same bytes: the attributes have another order and `Expires` another spelling, a cookie with an end also has
 * it as Max-Age, at most the 400 days that browsers allow, and one that is removed has no value. So what is compared is what a
 * browser makes of the header.
 */

/** Here ours ends at another time: so long after the last use, not after the beginning of the request. */
const OTHER_END: Record<string, number> = { 'expires-from-construction-not-save': Date.UTC(2024, 1, 29, 13, 1) }

/** Need not be refused, but is. */
const ALSO_REFUSED = ['domain=None path=/é', 'domain=example.com path=/é', 'expires-7']

const same = headers.filter(({ expected }) => expected.startsWith('exact'))
const refused = headers.filter(({ id, expected }) => expected === 'refuse' || ALSO_REFUSED.includes(id))
const either = headers.filter((header) => !same.includes(header) && !refused.includes(header))

test('the fixture has recorded headers of every kind, and those that are named here', () => {
  expect([same, refused, either].map(({ length }) => length)).toEqual([86, 15, 4])
  expect(headers.map(({ id }) => id)).toEqual(expect.arrayContaining([...Object.keys(OTHER_END), ...ALSO_REFUSED]))
})

describe('a response says the same to a browser as one of Python:', () => {
  test.each(titled(same))('%s', async (_id, recorded) => {
    const { lines, now } = await answerTo(recorded)
    const pythons = recorded.header === null ? [] : [recorded.header]
    expect(lines).toHaveLength(pythons.length)
    // The browser has the cookie already, so that one which does not remove it is noticed.
    const before = pythons.map((line) => line.replace(/expires=[^;]*; /, ''))
    expect(keptBy(recorded, before, now)).toHaveLength(pythons.length)

    const kept = keptBy(recorded, [...before, ...pythons], utc(recorded.clock))
    const end = OTHER_END[recorded.id]
    expect(keptBy(recorded, [...before, ...lines], now)).toEqual(
      kept.map((cookie) => ({ ...cookie, expiresAt: end ?? cookie.expiresAt })),
    )
    expect(lines.map(attributeNames)).toEqual(pythons.map(attributeNames))
  })
})

describe('what should be refused is, by a typed error:', () => {
  test.each(titled(refused))('%s', async (_id, recorded) => {
    const code = recorded.ops[0]?.[0] === 'timeout' ? 'ERR_TIMEOUT' : 'ERR_CONFIG'
    await expect(answerTo(recorded)).rejects.toMatchObject({ code })
  })
})

describe('what need not be the same is a cookie all the same:', () => {
  test.each(titled(either))('%s', async (_id, recorded) => {
    const { lines } = await answerTo(recorded)
    expect(lines).toEqual([expect.stringMatching(/^vishnu=[0-9a-f]{160};/)])
  })
})

function titled(recorded: readonly RecordedHeader[]): [id: string, RecordedHeader][] {
  return recorded.map((header) => [header.id, header])
}

/** What a response carries after these operations, in a world where the new session gets the recorded id. */
async function answerTo({
  clock: time,
  config,
  sid,
  iv,
  ops,
}: RecordedHeader): Promise<{ lines: string[]; now: number }> {
  const clock = manualClock(utc(time))
  const prepared = [sid, iv ?? sid].map((hex) => Buffer.from(hex, 'hex'))
  const sessions = createSessions({
    dialect: vishnuPython(),
    backend,
    sameSite: 'omit',
    secret: config.secret,
    encryptKey: config.encrypt_key ?? undefined,
    cookieName: config.cookie_name,
    domain: config.domain ?? undefined,
    path: config.path,
    secure: config.secure,
    httpOnly: config.http_only,
    timeout: config.timeout ?? undefined,
    clock: clock.now,
    onEvent: () => undefined,
    random: (size) => (size === 16 && prepared.shift()) || randomBytes(size),
  })

  // Python also removes the cookie of a visitor who has none. We remove one that came with the request.
  const isLogout = ops.some(([name]) => name === 'terminate')
  const visit = sessions.open(isLogout ? cookieOf(config, sid) : undefined)
  const session = await visit.session()
  for (const [name, argument] of ops) {
    // Python also stores a session that has no values.
    if (name === 'save') session.set('user', 'james')
    if (name === 'save' || name === 'terminate') await session[name]()
    if (name === 'get') session.get(String(argument))
    if (name === 'set') session.set(String(argument), 'james')
    if (name === 'timeout') session.timeout = argument === 'timeout_session' ? TIMEOUT_SESSION : (argument as number)
    if (name === 'clock') clock.set(utc(String(argument)))
  }
  const { append } = await sessions.commit(visit, () => undefined)
  return { lines: append.flatMap(([name, line]) => (name === 'set-cookie' ? [line] : [])), now: clock.now() }
}

function cookieOf(config: RecordedHeader['config'], sid: string): string {
  const encryptKeys = config.encrypt_key === null ? [] : [config.encrypt_key]
  const codec = cookieCodec({ secrets: [config.secret], encryptKeys, random: randomBytes })
  return `${config.cookie_name}=${codec.seal(sid)}`
}

/** What a browser that got these headers has. Ends are in whole seconds, as Python's. */
function keptBy({ config }: RecordedHeader, lines: readonly string[], now: number): StoredCookie[] {
  const origin = new URL(`https://${(config.domain ?? 'shop.example').replace(/^\./, '')}/`)
  const jar = new CookieJar(() => now)
  for (const line of lines) jar.store(line, origin)
  return jar.all().map((cookie) => {
    return { ...cookie, expiresAt: cookie.expiresAt && Math.floor(cookie.expiresAt / 1000) * 1000 }
  })
}

function attributeNames(line: string): string[] {
  const names = line.split(';').slice(1)
  return names
    .map((attribute) => attribute.split('=')[0]?.trim().toLowerCase() ?? '')
    .filter((name) => name !== 'max-age')
    .toSorted()
}
