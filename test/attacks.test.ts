import { describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { type Backend, createSessions, type SessionEvent, type SessionsOptions } from '../src/index.js'
import { recordingBackend, wrapBackend } from './helpers/contract-backends.js'
import { damagedCookies } from './fuzz/cookies.js'
import { seededBelow } from './fuzz/fuzz-target.js'
import { manualClock } from './helpers/clock.js'
import {
  begin,
  codeOf,
  endingOf,
  newVisitor,
  request,
  secret,
  startServer,
  valuesOf,
} from './helpers/contract-requests.js'
import { seededRandom } from './helpers/random.js'

// One test for each way to get at somebody's session, or to get in its way. What leaks is in contract-secrecy.test.ts.

const encryptKey = 'an encryption key of 32 characters'
const seals = [
  ['signed', {}],
  ['encrypted', { encryptKey }],
] as const

interface Target {
  readonly sessions: ReturnType<typeof startServer>
  /** Of alice, who is logged in. */
  readonly cookie: string
  readonly backend: Backend
  readonly calls: { operation: string; key: string }[]
  readonly events: string[]
}

async function target(options: Partial<SessionsOptions> = {}): Promise<Target> {
  const { backend, calls } = recordingBackend(memory())
  const events: string[] = []
  const onEvent = ({ type }: SessionEvent): void => void events.push(type)
  const sessions = startServer(backend, { autoSave: true, onEvent, ...options })
  const cookie = await newVisitor(sessions, { user: 'alice' })
  calls.splice(0)
  return { sessions, cookie, backend, calls, events }
}

function logIn(sessions: Target['sessions'], cookie: string | undefined, user: string) {
  return request(sessions, cookie, (session) => {
    session.set('user', user)
    session.regenerate({ authenticated: true })
  })
}

describe.each(seals)('with %s cookies', (_, options) => {
  test('fixation: an id that the attacker made up is never adopted', async () => {
    const { sessions, calls } = await target(options)
    for (const planted of ['vishnu=attacker', `vishnu=1${randomText(57)}`, `vishnu=2${randomText(52)}`]) {
      const { cookie } = await logIn(sessions, planted, 'victim')
      expect(cookie).not.toBe(planted)
      expect(await valuesOf(sessions, planted)).toEqual({})
      expect(await valuesOf(sessions, cookie)).toEqual({ user: 'victim' })
    }
    expect(calls.filter(({ operation }) => operation === 'create')).toHaveLength(3)
  })

  test('fixation: nor is one that was genuine once', async () => {
    const clock = manualClock()
    const { sessions, cookie } = await target({ ...options, clock: clock.now, timeout: 60 })
    clock.advance(60_000)
    const answer = await request(sessions, cookie, (session) => session.set('user', 'victim'))
    expect(await valuesOf(sessions, cookie)).toEqual({})
    expect(await valuesOf(sessions, answer.cookie)).toEqual({ user: 'victim' })
  })

  test("fixation: the attacker's own anonymous id is worthless once the victim has logged in with it", async () => {
    const { sessions } = await target(options)
    const planted = await newVisitor(sessions, { cart: ['bait'] })
    const attacker = await begin(sessions, planted)
    const { cookie } = await logIn(sessions, planted, 'victim')
    expect(attacker.session.get('user')).toBeUndefined()
    await expect(attacker.session.update('user', () => 'attacker')).rejects.toMatchObject({ code: 'ERR_SESSION_GONE' })
    expect((await attacker.respond()).setCookies).toEqual([])
    expect(await valuesOf(sessions, planted)).toEqual({})
    expect(await valuesOf(sessions, cookie)).toEqual({ cart: ['bait'], user: 'victim' })
  })

  test('forgery: a cookie made with another secret or key opens nothing', async () => {
    const { sessions, calls, events } = await target(options)
    for (const other of [
      { secret: `${secret}.` },
      { secret: ` ${secret}` },
      { secret: secret.toUpperCase() },
      { encryptKey: `${encryptKey}.` },
    ]) {
      const forger = await target({ ...options, ...other })
      expect(await valuesOf(sessions, forger.cookie)).toEqual({})
    }
    expect(events).toEqual(Array(4).fill('rejectedCookie'))
    expect(calls).toEqual([])
  })

  test('bit flips: no cookie with one bit changed is accepted', async () => {
    const { sessions, cookie, calls } = await target(options)
    const value = Buffer.from(cookie.slice('vishnu='.length), 'latin1')
    for (let bit = 0; bit < value.length * 8; bit++) {
      const flipped = Buffer.from(value)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(await valuesOf(sessions, `vishnu=${flipped.toString('latin1')}`)).toEqual({})
    }
    expect(calls).toEqual([])
  })

  test('truncation: no part of a cookie is accepted, nor one with more behind it', async () => {
    const { sessions, cookie, calls } = await target(options)
    const value = cookie.slice('vishnu='.length)
    for (let cut = 1; cut <= value.length; cut++) {
      expect(await valuesOf(sessions, `vishnu=${value.slice(0, -cut)}`)).toEqual({})
      expect(await valuesOf(sessions, `vishnu=${value.slice(cut)}`)).toEqual({})
    }
    for (const more of ['A', '=', '==', '.', '%00', '%3D', '\u00e9', value]) {
      expect(await valuesOf(sessions, cookie + more)).toEqual({})
    }
    expect(calls).toEqual([])
  })

  test('replay: after a log-out a copy of the cookie opens nothing, now and later', async () => {
    const clock = manualClock()
    const { sessions, cookie } = await target({ ...options, clock: clock.now })
    await request(sessions, cookie, (session) => session.terminate())
    for (const wait of [0, 299_999, 1, 3_600_000]) {
      clock.advance(wait)
      const { cookie: answered } = await request(sessions, cookie, (session) => session.set('note', 'thief'))
      expect(answered).not.toBe(cookie)
      expect(await valuesOf(sessions, cookie)).toEqual({})
    }
  })

  test('transplant: a cookie is worth nothing under another name or in another application', async () => {
    const { sessions, cookie, calls } = await target({ ...options, cookieName: 'admin' })
    for (const other of [
      await target({ ...options, cookieName: 'user' }),
      await target({ ...options, secret: `${secret}!` }),
    ]) {
      expect(await valuesOf(sessions, other.cookie.replace(/^\w+/, 'admin'))).toEqual({})
      expect(await valuesOf(other.sessions, cookie.replace('admin', 'user'))).toEqual({})
    }
    expect(calls).toEqual([])
  })

  test('guessing: 100,000 damaged cookies get nothing accepted, nothing read, nothing written, and crash nothing', async () => {
    const { sessions, cookie, calls, events } = await target(options)
    const other = await newVisitor(sessions, { user: 'bob' })
    calls.splice(0)
    const damaged = damagedCookies(seededBelow(1), [cookie.slice(7), other.slice(7)])
    let accepted = 0
    for (let attempt = 0; attempt < 100_000; attempt++) {
      const visit = sessions.open(`vishnu=${damaged()}`)
      const session = await visit.session()
      if (session.started || session.has('user')) accepted++
    }
    expect(accepted).toBe(0)
    expect(calls).toEqual([])
    expect(new Set(events)).toEqual(new Set(['rejectedCookie']))
    expect(events.length).toBeGreaterThan(60_000)
  })
})

describe('several cookies', () => {
  test('tossing: junk before and behind ours does not hide it', async () => {
    const { sessions, cookie } = await target()
    const junk = Array.from({ length: 15 }, () => `vishnu=1${randomText(57)}`)
    for (const header of [
      `vishnu=junk; ${cookie}`,
      `${cookie}; vishnu=junk`,
      [...junk, cookie, ...junk].join('; '),
      `vishnu=; vishnu; =vishnu; ${cookie}`,
      `Vishnu=junk; VISHNU=junk; xvishnu=1; vishnux=1; ${cookie}`,
      `;;;, ;${cookie};;`,
    ]) {
      expect([header, await valuesOf(sessions, header)]).toEqual([header, { user: 'alice' }])
    }
  })

  test('tossing: of two genuine ones the first counts, and the operator is told', async () => {
    const { sessions, cookie, events } = await target()
    const attacker = await newVisitor(sessions, { user: 'mallory' })
    expect(await valuesOf(sessions, `${cookie}; ${attacker}`)).toEqual({ user: 'alice' })
    expect(await valuesOf(sessions, `${attacker}; x=y; ${cookie}`)).toEqual({ user: 'mallory' })
    expect(events.splice(0)).toEqual(['duplicateCookie', 'duplicateCookie'])
    // The same one twice is no attack.
    expect(await valuesOf(sessions, `${cookie}; ${cookie}`)).toEqual({ user: 'alice' })
    expect(events).toEqual([])
  })

  test('prefix bypass: what a browser does not take for a __Host- cookie is not taken for one here', async () => {
    const name = '__Host-vishnu'
    const { sessions, cookie } = await target({ cookieName: name })
    const value = cookie.slice(name.length + 1)
    const blanks = ['\u00a0', '\u2000', '\u3000', '\ufeff', '\u0085', '\u000b', '\u000c', '\u001f', '\u0000']
    for (const header of [
      ...blanks.flatMap((blank) => [`${blank}${cookie}`, `x=1;${blank}${cookie}`, `${name}${blank}=${value}`]),
      `__host-vishnu=${value}`,
      `__HOST-VISHNU=${value}`,
      `$Version=1, ${cookie}`,
      `x="1, ${cookie}"`,
      `x=1,${cookie}`,
      `${name}="${value}"`,
      `=${cookie}`,
      `__Host%2Dvishnu=${value}`,
      `x__Host-vishnu=${value}`,
    ]) {
      expect([header, await valuesOf(sessions, header)]).toEqual([header, {}])
    }
    for (const header of [cookie, `x=1; ${cookie}`, `x=1;\t${cookie} ; y=2`]) {
      expect([header, await valuesOf(sessions, header)]).toEqual([header, { user: 'alice' }])
    }
  })

  test('oversize: no cookie is too long to be ignored, and none of ours is too long to be kept', async () => {
    const { sessions, cookie } = await target()
    const long = 'A'.repeat(1_000_000)
    for (const other of [
      `vishnu=${long}`,
      `vishnu=1${long}`,
      `${long}=1`,
      long,
      'a=b; '.repeat(100_000),
      ';'.repeat(100_000),
    ]) {
      expect(await valuesOf(sessions, `${other}; ${cookie}`)).toEqual({ user: 'alice' })
    }
    const withName = (length: number): unknown =>
      codeOf(() => createSessions({ secret, backend: memory(), cookieName: 'n'.repeat(length) }))
    expect([withName(4000), withName(4096)]).toEqual(['done', 'ERR_CONFIG'])
  })
})

describe('hostile data', () => {
  test('prototype pollution: keys like __proto__ are data, at every depth', async () => {
    const { sessions, cookie } = await target()
    const nested: unknown = JSON.parse('{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}}')
    const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then']
    const { session: empty } = await begin(sessions, cookie)
    for (const name of names) expect([name, empty.has(name), empty.get(name)]).toEqual([name, false, undefined])
    await request(sessions, cookie, (session) => {
      for (const name of names) session.set(name, nested)
    })
    const { session } = await begin(sessions, cookie)
    expect(session.keys()).toEqual(['user', ...names])
    for (const name of names) {
      const value = session.get(name) as { isAdmin?: boolean }
      expect(JSON.stringify(value)).toBe(JSON.stringify(nested))
      expect([value.isAdmin, Object.getPrototypeOf(value)]).toEqual([undefined, Object.prototype])
    }
    await request(sessions, cookie, async (visitor) => {
      for (const name of names) await visitor.update(name, () => 1)
      for (const name of names) visitor.delete(name)
    })
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'alice' })
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })

  test('poisoned store: no value that somebody wrote there does more than fail to be read', async () => {
    const { sessions, cookie, spoil } = await poisoned()
    for (const value of [
      '{"__proto__":{"isAdmin":true}}',
      '~[{"__proto__":1},{"isAdmin":2},true]',
      '~[{"constructor":1},{"prototype":2},{"isAdmin":3},true]',
      '~[["null","__proto__",1],{"isAdmin":2},true]',
      '~[["Map",1,2],"__proto__",{"isAdmin":3},true]',
      '~[["Object","x"]]',
      '~[["RegExp","(a+)+$"]]',
      '~[["URL","https://evil.example"]]',
      '~[[-7,4294967295]]',
      '~[0]',
      '~[[0]]',
      '~[["Set",0]]',
      '~-1',
      '~',
      '~[',
      '',
      '[',
      'undefined',
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      `~[${Array.from({ length: 20_000 }, (_, depth) => `[${depth + 1}]`).join()},1]`,
      '"\u0000"',
      '"\ud800"',
      '1e999',
    ]) {
      await spoil((head) => withLine(head, `"user"\t${value}\n`))
      const { session, respond } = await begin(sessions, cookie)
      expect(['done', 'ERR_RECORD']).toContain(codeOf(() => session.get('user')))
      session.set('other', 1)
      await respond()
      expect((await begin(sessions, cookie)).session.get('other')).toBe(1)
      expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
      expect(([] as { isAdmin?: boolean }).isAdmin).toBeUndefined()
    }
  })

  test('poisoned store: no head of a record makes a request fail other than by a typed error', async () => {
    const { sessions, cookie, spoil } = await poisoned()
    for (const edit of [
      () => '',
      () => '\n',
      () => '\u0000'.repeat(1000),
      (head: string) => head,
      (head: string) => `${head}\n`,
      (head: string) => withLine(head, 'no tab\n'),
      (head: string) => withLine(head, '\t\n\t\n'),
      (head: string) => withLine(head, '\n\n\n'),
      (head: string) => withLine(head, '"user"\t1'),
      (head: string) => withLine(head.replace(/^vishnu1/, 'vishnu2'), '"user"\t"bob"\n'),
      (head: string) => withLine(head.replaceAll(/\d{13}/g, '-1'), '"user"\t"bob"\n'),
      (head: string) => withLine(head.replace(/ - /, ' -5 '), '"user"\t"bob"\n'),
      (head: string) => withLine(head.replace(/ - /, ' 9007199254740991 '), '"user"\t"bob"\n'),
      (head: string) => withLine(head.replace(/ - /, ' 1e3 '), '"user"\t"bob"\n'),
      (head: string) => withLine(head.replace(/ - /, ' NaN '), '"user"\t"bob"\n'),
      (head: string) => `${head.split(' ').slice(0, 3).join(' ')} gone gone gone\n`,
    ]) {
      for (const work of [
        () => request(sessions, cookie, (session) => [session.get('user'), session.keys(), session.timeout]),
        () => request(sessions, cookie, (session) => session.set('x', 1)),
        () => request(sessions, cookie, (session) => session.update('x', () => 1)),
        () => request(sessions, cookie, (session) => session.regenerate()),
        () => request(sessions, cookie, (session) => session.terminate()),
      ]) {
        await spoil(edit)
        expect(['done', 'ERR_BACKEND', 'ERR_SESSION_GONE']).toContain(await endingOf(work))
      }
    }
  })

  test('poisoned store: sessions that point to each other do not keep a log-out busy for ever', async () => {
    const { sessions, cookie, spoil, reads } = await poisoned(1_000)
    await spoil((head) => {
      const [format, key, stamp] = head.split(' ')
      return `${format} ${key} ${stamp} gone ${key}\n`
    })
    await request(sessions, cookie, (session) => session.terminate()).catch(() => undefined)
    expect(reads()).toBeLessThan(100)
  })
})

describe('headers', () => {
  test('header injection: neither a configuration nor a value gets into a header', async () => {
    const evil = '\r\nSet-Cookie: evil=1'
    for (const bad of [
      { domain: `a.com${evil}` },
      { path: `/${evil}` },
      { cookieName: `a${evil}` },
      { path: '/; Domain=evil' },
    ]) {
      expect(codeOf(() => createSessions({ secret, backend: memory(), ...bad }))).toBe('ERR_CONFIG')
    }
    const { sessions } = await target({ domain: 'example.com', path: '/a path' })
    const { setCookies, headers } = await request(sessions, `x=${evil}; vishnu=${evil}`, (session) => {
      session.set(evil, evil)
      session.timeout = 60
    })
    const lines = [...setCookies, ...[...headers].flat()]
    expect(lines.filter((line) => /[\r\n\0]|evil/.test(line))).toEqual([])
    expect(setCookies).toHaveLength(1)
  })

  const shareable = 'public, max-age=600'
  test.each([
    // What the application says, then what leaves with and without a cookie of ours.
    [undefined, 'no-store', 'private, no-cache'],
    [shareable, 'no-store', shareable],
    ['s-maxage=10', 'no-store', 's-maxage=10'],
    ['no-cache="Set-Cookie"', 'no-store', 'no-cache="Set-Cookie"'],
    ['private="x-header"', 'no-store', 'private="x-header"'],
    ['PRIVATE, max-age=5', 'PRIVATE, max-age=5', 'PRIVATE, max-age=5'],
    ['max-age=5 , No-Store', 'max-age=5 , No-Store', 'max-age=5 , No-Store'],
  ])(
    'cache leakage: a page with Cache-Control %s reaches no other visitor with our cookie',
    async (own, with_, without) => {
      const { sessions, cookie, events } = await target()
      const given = own === undefined ? {} : { 'cache-control': own }
      const set = await begin(sessions)
      set.session.set('user', 'bob')
      const issued = await set.respond(given)
      expect(issued.setCookies).toHaveLength(1)
      expect(issued.headers.get('cache-control') ?? own).toBe(with_)
      const read = await begin(sessions, cookie)
      read.session.get('user')
      expect((await read.respond(given)).headers.get('cache-control') ?? own).toBe(without)
      expect(events.includes('insecure')).toBe(own !== undefined && with_ === 'no-store')
    },
  )

  test.each([
    [undefined, 'Cookie'],
    ['Accept', 'Accept, Cookie'],
    ['X-Cookie', 'X-Cookie, Cookie'],
    ['Accept, cookie', 'Accept, cookie'],
    ['*', '*'],
  ])('cache leakage: Vary: %s becomes %s as soon as the session is asked for', async (own, expected) => {
    const { sessions, cookie } = await target()
    const given = own === undefined ? {} : { vary: own }
    for (const brought of [cookie, undefined, 'vishnu=forged']) {
      const { respond } = await begin(sessions, brought)
      expect((await respond(given)).headers.get('vary') ?? own).toBe(expected)
    }
    const untouched = sessions.open(cookie)
    expect(await sessions.commit(untouched, () => own)).toEqual({ set: [], append: [] })
  })
})

const random = seededRandom('attacks')

/** So many random bytes in the alphabet of our cookies. */
function randomText(bytes: number): string {
  return Buffer.from(random(bytes)).toString('base64url')
}

/** A session whose record a test may overwrite. After `patience` reads there is nothing to be read any more. */
async function poisoned(patience = Infinity) {
  const inner = memory()
  let reads = 0
  const backend = wrapBackend(inner, async ({ operation, run }) => {
    if (operation === 'read' && ++reads > patience) return undefined as Awaited<ReturnType<typeof run>>
    return run()
  })
  const { backend: recorded, calls } = recordingBackend(backend)
  const sessions = startServer(recorded, { autoSave: true })
  const cookie = await newVisitor(sessions, { user: 'alice' })
  const key = calls[0]!.key
  const [head = ''] = new TextDecoder().decode((await inner.read(key, 0))!.value).split('\n')
  const spoil = async (edit: (head: string) => string): Promise<void> => {
    await inner.delete(key)
    await inner.create(key, Buffer.from(edit(head)), Date.now() + 60_000, Date.now())
  }
  return { sessions, cookie, spoil, reads: () => reads }
}

function withLine(head: string, lines: string): string {
  return `${head.replace(/\d+$/, String(Buffer.byteLength(lines)))}\n${lines}`
}
