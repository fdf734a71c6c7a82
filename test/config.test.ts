import { describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { checkOptions, type SessionsOptions } from '../src/config.js'
import { ConfigError, createSessions } from '../src/index.js'
import recorded from './fixtures/config-validation.json' with { type: 'json' }
import { thrownBy } from './helpers/unit-errors.js'
import { SECRET, World } from './helpers/unit-world.js'

const CENTURY = 100 * 365 * 86_400
const good = { secret: SECRET, backend: memory() }

/** The problems of these options on top of good ones. */
function problems(options: Record<string, unknown>): readonly string[] {
  return problemsOf({ ...good, ...options })
}

function problemsOf(options: unknown): readonly string[] {
  const error = thrownBy(() => createSessions(options as SessionsOptions))
  if (error === undefined) return []
  if (!(error instanceof ConfigError)) throw new Error('This is not a configuration error', { cause: error })
  expect(error).toMatchObject({ code: 'ERR_CONFIG', message: `createSessions: ${error.problems.join('; ')}` })
  return error.problems
}

describe('defaults', () => {
  test('are the ones that are documented', () => {
    expect(checkOptions(good)).toMatchObject({
      backend: good.backend,
      cookie: {
        name: 'vishnu',
        domain: undefined,
        path: '/',
        secure: true,
        httpOnly: true,
        sameSite: 'lax',
        partitioned: false,
        priority: undefined,
      },
      autoSave: false,
      timeout: 0,
      absoluteTimeout: 0,
      browserSessionTimeout: 86_400,
      touchInterval: undefined,
      backendTimeout: 2000,
    })
  })

  test('use the real time and bytes of a secure source', () => {
    const { now, random } = checkOptions(good)
    const before = Date.now()
    expect(now()).toBeGreaterThanOrEqual(before)
    expect(now()).toBeLessThanOrEqual(Date.now())
    const draws = Array.from({ length: 1000 }, () => Buffer.from(random(18)).toString('hex'))
    expect(new Set(draws).size).toBe(1000)
    expect(random(10_000)).toHaveLength(10_000)
  })

  test('random bytes that were handed out are not overwritten by later ones', () => {
    const { random } = checkOptions(good)
    const first = random(32)
    const copy = first.slice()
    for (let draw = 0; draw < 1000; draw++) random(32)
    expect(first).toEqual(copy)
  })

  test('null counts as left out', () => {
    const names = Object.keys(accepted)
    const nothing = Object.fromEntries(names.map((name) => [name, null]))
    expect(problems(nothing)).toEqual([])
    expect(checkOptions({ ...good, ...nothing }).cookie).toEqual(checkOptions(good).cookie)
    expect(problems({ secret: null })).toHaveLength(1)
    expect(problems({ backend: null })).toHaveLength(1)
  })

  test('undefined counts as left out', () => {
    const nothing = Object.fromEntries(Object.keys(accepted).map((name) => [name, undefined]))
    expect(problems(nothing)).toEqual([])
  })
})

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`.repeat(32))
const noop = (): undefined => undefined

const accepted: Record<string, unknown[]> = {
  cookieName: ['a', 'sess', 'my.app-sess_1', "!#$%&'*+-.^_`|~09AZaz"],
  encryptKey: ['k'.repeat(32), keys(1), keys(8)],
  secure: [true, false],
  domain: ['example.com', '.example.com', 'localhost', 'a-b.example', 'xn--bcher-kva.example', 'EXAMPLE.com'],
  path: ['/', '', '/shop', '/a b', '/~user/?x=1,2', `/${'x'.repeat(1023)}`],
  httpOnly: [true, false],
  sameSite: ['lax', 'strict', 'none'],
  partitioned: [true, false],
  priority: ['low', 'medium', 'high'],
  autoSave: [true, false],
  timeout: [0, 1, 3600, CENTURY, 60.0, -0],
  absoluteTimeout: [0, 1, CENTURY],
  browserSessionTimeout: [1, 86_400, CENTURY],
  touchInterval: [0, 1, 60, CENTURY],
  backendTimeout: [1, 2000, 600_000],
  onEvent: [noop],
  clock: [Date.now],
  random: [(size: number) => new Uint8Array(size)],
}

const noNumbers = [-1, 1.9, '60', '', true, false, Number.NaN, Infinity, 10n, [1], {}, noop, Symbol('x')]
const noFlags = [0, 1, 'true', 'yes', '', {}, [], noop]
const noFunctions = [0, 1, 'Date.now', {}, [], true]
const noTexts = [0, 7, true, {}, [], ['/'], noop, Symbol('x')]

const refused: Record<string, unknown[]> = {
  secret: ['', 's'.repeat(31), 7, true, {}, Buffer.alloc(32), new Uint8Array(32), noop, [], [7], keys(9), ['short']],
  encryptKey: ['', 'k'.repeat(31), 7, {}, Buffer.alloc(32), [], [null], keys(9), ['k'.repeat(32), 'short']],
  backend: ['redis', {}, [], noop, memory, { read: noop, create: noop, replace: noop, touch: noop }],
  cookieName: [
    '',
    'a b',
    'a=b',
    'a;b',
    'a,b',
    'a"b',
    'a\\b',
    'ä',
    'a\tb',
    'a\r\nb',
    'a(b)',
    'vishnu\n',
    '\u00a0a',
    ...noTexts,
  ],
  secure: noFlags,
  domain: [
    '',
    'a.com\r\nX-Evil: 1',
    'a.com; Path=/',
    'a.com,b.com',
    'a b.com',
    '-a.com',
    'a..com',
    'a.com.',
    'ä.com',
    'a.com\n',
    'https://a.com',
    'a.com:80',
    ...noTexts,
  ],
  path: ['shop', '/a;b', '/a\r\nX-Evil: 1', '/a\n', '/\0', '/ä', '/\u007f', ' /', `/${'x'.repeat(1024)}`, ...noTexts],
  httpOnly: noFlags,
  sameSite: ['Lax', 'STRICT', '', 'None', true, false, 0, {}, ['lax']],
  partitioned: noFlags,
  priority: ['High', '', 1, true, {}],
  autoSave: noFlags,
  timeout: [...noNumbers, CENTURY + 1, 1e12],
  absoluteTimeout: [...noNumbers, CENTURY + 1],
  browserSessionTimeout: [...noNumbers, 0, CENTURY + 1],
  touchInterval: [...noNumbers, CENTURY + 1],
  backendTimeout: [...noNumbers, 0, 600_001],
  onEvent: noFunctions,
  clock: noFunctions,
  random: noFunctions,
}

describe('each option', () => {
  test('is listed in both tables of this test', () => {
    expect(Object.keys(refused).toSorted()).toEqual([...Object.keys(accepted), 'secret', 'backend'].toSorted())
  })

  test.each(Object.entries(accepted))('%s accepts what it should', (name, values) => {
    for (const value of values) expect([value, problems({ [name]: value })]).toEqual([value, []])
  })

  test.each(Object.entries(refused))('%s refuses what it should, by name', (name, values) => {
    for (const value of values) {
      const found = problems({ [name]: value })
      expect([value, found.length > 0]).toEqual([value, true])
      for (const problem of found) expect(problem).toMatch(new RegExp(`^${name} `))
    }
  })

  test('refuses a value that has no text', () => {
    for (const name of Object.keys(refused)) {
      const nameless: unknown = Object.create(null)
      expect([name, problems({ [name]: nameless }).length]).toEqual([name, 1])
    }
  })

  test('reaches the settings', () => {
    const given = {
      cookieName: 'sess',
      domain: 'example.com',
      path: '/shop',
      secure: true,
      httpOnly: false,
      sameSite: 'none',
      partitioned: true,
      priority: 'high',
      autoSave: true,
      timeout: 1,
      absoluteTimeout: 2,
      browserSessionTimeout: 3,
      touchInterval: 4,
      backendTimeout: 5,
    } as const
    const { cookieName: name, domain, path, secure, httpOnly, sameSite, partitioned, priority, ...rest } = given
    const cookie = { name, domain, path, secure, httpOnly, sameSite, partitioned, priority }
    expect(checkOptions({ ...good, ...given })).toMatchObject({ cookie, ...rest })
  })
})

describe('messages', () => {
  test('all problems of a configuration are told at once', () => {
    const found = problemsOf({
      secret: 'short',
      encryptKey: '',
      cookieName: 'a b',
      domain: 'a.com; Secure',
      path: 'shop',
      secure: 'yes',
      timeout: '60',
      autosave: true,
      sameSite: 'Lax',
    })
    const names = ['secret', 'encryptKey', 'cookieName', 'domain', 'path', 'secure', 'timeout', 'autosave', 'sameSite']
    for (const name of [...names, 'backend'])
      expect(found.filter((problem) => problem.startsWith(`${name} `))).toHaveLength(1)
    expect(found).toHaveLength(names.length + 1)
  })

  test('say what to change', () => {
    expect(problems({ secret: undefined })).toEqual(['secret is missing: pass at least 32 random characters'])
    expect(problems({ secret: 'short' })).toEqual(['secret must have at least 32 characters, this one has 5'])
    expect(problems({ secret: [] })).toEqual(['secret is an empty list: pass at least one'])
    expect(problems({ secret: keys(9) })).toEqual(['secret lists 9: keep the newest 8'])
    expect(problems({ timeout: '60' })).toEqual([
      `timeout must be a whole number of seconds from 0 to ${CENTURY}, not a string of length 2`,
    ])
    expect(problems({ sameSite: 'Lax' })).toEqual(['sameSite must be one of lax, strict, none'])
    expect(problems({ backend: undefined })).toEqual([
      'backend must be a backend, for example memory() of vishnu/backends/memory',
    ])
  })

  test('a misspelt option is pointed out, and so is the right one', () => {
    expect(problems({ cookie_name: 'a' })).toEqual(['cookie_name is not an option: did you mean cookieName?'])
    expect(problems({ autosave: true })).toEqual(['autosave is not an option: did you mean autoSave?'])
    expect(problems({ 'http-only': true })).toEqual(['http-only is not an option: did you mean httpOnly?'])
    for (const python of ['encrypt_key', 'http_only', 'auto_save']) {
      expect(problems({ [python]: undefined })[0]).toContain('did you mean')
    }
    expect(problems({ maxAge: 60 })).toEqual(['maxAge is not an option'])
  })

  test('never repeat a secret', () => {
    const canary = 'canary-of-31-characters-exactly'
    const wrong = [{ secret: canary }, { secret: [SECRET, canary] }, { encryptKey: canary }, { secret: SECRET, a: 1 }]
    for (const options of wrong) {
      const text = problems(options).join()
      expect(text).not.toBe('')
      expect(text).not.toContain('canary')
      expect(text).not.toContain(SECRET)
    }
  })

  test('no options at all, or something else in their place, is a configuration error and not a crash', () => {
    for (const options of [undefined, null, {}, [], 0, '', 'redis', true, noop, Symbol('x'), 1n]) {
      const found = problemsOf(options)
      expect(found).toContain('secret is missing: pass at least 32 random characters')
      expect(found.some((problem) => problem.startsWith('backend must be'))).toBe(true)
    }
  })
})

describe('secrets', () => {
  test('are counted in code points: 31 emoji are refused and 32 pass', () => {
    for (const name of ['secret', 'encryptKey']) {
      expect(problems({ [name]: '😀'.repeat(31) })).toEqual([
        `${name} must have at least 32 characters, this one has 31`,
      ])
      expect(problems({ [name]: '😀'.repeat(16) })).toHaveLength(1)
      expect(problems({ [name]: '😀'.repeat(32) })).toEqual([])
    }
  })

  test('may be a list of 1 to 8', () => {
    for (const name of ['secret', 'encryptKey']) {
      for (let count = 1; count <= 8; count++) expect(problems({ [name]: keys(count) })).toEqual([])
      expect(problems({ [name]: keys(0) })).toHaveLength(1)
      expect(problems({ [name]: keys(9) })).toHaveLength(1)
    }
  })

  test('every bad one in a list is told', () => {
    expect(problems({ secret: ['a', SECRET, 7] })).toEqual([
      'secret must have at least 32 characters, this one has 1',
      'secret must be a string or a list of strings',
    ])
  })
})

describe('combinations that browsers refuse', () => {
  test.each([
    ['__Host-id', { secure: false }, 'a cookieName with __Host- needs secure: true'],
    ['__Host-id', { domain: 'example.com' }, 'a cookieName with __Host- allows no domain'],
    ['__Host-id', { path: '/shop' }, "a cookieName with __Host- needs path: '/'"],
    ['__Host-id', { path: '' }, "a cookieName with __Host- needs path: '/'"],
    ['__hOST-id', { secure: false }, 'a cookieName with __hOST- needs secure: true'],
    ['__Secure-id', { secure: false }, 'a cookieName with __Secure- needs secure: true'],
    ['__secure-id', { secure: false }, 'a cookieName with __secure- needs secure: true'],
    ['__Http-id', { httpOnly: false }, 'a cookieName with __Http- needs httpOnly: true'],
    ['__Http-id', { secure: false }, 'a cookieName with __Http- needs secure: true'],
    ['__Host-Http-id', { httpOnly: false }, 'a cookieName with __Host-Http- needs httpOnly: true'],
    ['__Host-Http-id', { domain: 'example.com' }, 'a cookieName with __Host-Http- allows no domain'],
    ['__HOST-HTTP-id', { path: '/shop' }, "a cookieName with __HOST-HTTP- needs path: '/'"],
    ['vishnu', { sameSite: 'none', secure: false }, "sameSite: 'none' needs secure: true"],
    ['vishnu', { partitioned: true, secure: false }, 'partitioned: true needs secure: true'],
  ])('%s with %j', (cookieName, options, problem) => {
    expect(problems({ cookieName, ...options })).toEqual([problem])
  })

  test('everything wrong with one name is told together', () => {
    expect(
      problems({ cookieName: '__Host-Http-id', secure: false, httpOnly: false, domain: 'a.com', path: '' }),
    ).toHaveLength(4)
  })

  test.each([
    ['__Host-id', {}],
    ['__Host-Http-id', {}],
    ['__Host-id', { httpOnly: false }],
    ['__Secure-id', { domain: 'example.com', path: '/shop', httpOnly: false }],
    ['__Http-id', { domain: 'example.com', path: '/shop' }],
    ['__Hostile', { secure: false, domain: 'example.com' }],
    ['_Host-id', { secure: false }],
    ['vishnu', { sameSite: 'none' }],
    ['vishnu', { partitioned: true, sameSite: 'none' }],
  ])('%s with %j is fine', (cookieName, options) => {
    expect(problems({ cookieName, ...options })).toEqual([])
  })
})

describe('the cookie to come', () => {
  test('must not exceed 4096 bytes, name and value together', () => {
    const signed = 4096 - 76
    const encrypted = 4096 - 71
    expect(problems({ cookieName: 'n'.repeat(signed) })).toEqual([])
    expect(problems({ cookieName: 'n'.repeat(signed + 1) })).toEqual([
      'cookieName is too long: the cookie would have 4097 bytes, and browsers drop one of more than 4096',
    ])
    expect(problems({ cookieName: 'n'.repeat(encrypted), encryptKey: SECRET })).toEqual([])
    expect(problems({ cookieName: 'n'.repeat(encrypted + 1), encryptKey: SECRET })).toHaveLength(1)
  })

  test('a path that is accepted at start is never refused at the first request', async () => {
    const printable = Array.from({ length: 0x7f - 0x20 }, (_, index) => String.fromCharCode(0x20 + index))
    for (const character of printable) {
      const path = `/${character}`
      if (problems({ path }).length > 0) continue
      const world = new World({ path, autoSave: true })
      const answer = await world.visitor().request((session) => session.set('a', 1))
      expect(answer.cookie).toContain(`; Path=${path};`)
    }
    expect(problems({ path: '/;' })).toHaveLength(1)
  })
})

test('a random source that gives too few bytes is refused', () => {
  expect(problems({ random: () => new Uint8Array(0) })).toEqual(['random must return as many bytes as it is asked for'])
})

test('a clock with fractions is cut to whole milliseconds', () => {
  expect(checkOptions({ ...good, clock: () => 1234.75 }).now()).toBe(1234)
})

describe('the Python library', () => {
  /** Where this library is stricter than what was recorded, and why. */
  const stricter: Record<string, string> = {
    'timeout-str': 'a text is not a number',
    'timeout-float': 'a fraction of a second would be cut off without a word',
    'timeout-true': 'true is not a number',
    'timeout-huge': 'accepted there, and then every request failed',
    'cookie-name-empty': 'accepted there, and then no header could be made',
    'cookie-name-space': 'accepted there, and then no header could be made',
    'secret-bytes-32': 'accepted there, and then every save failed',
  }
  const names: Record<string, string> = { encrypt_key: 'encryptKey', cookie_name: 'cookieName' }

  function translate(value: unknown): unknown {
    const tagged = value as { bytes_base64?: string; float?: string } | null
    if (typeof tagged?.bytes_base64 === 'string') return Buffer.from(tagged.bytes_base64, 'base64')
    if (typeof tagged?.float === 'string') return Number(tagged.float)
    return value
  }

  test.each(recorded.cases.map((one) => [one.id, one] as const))('agrees about %s', (id, { config, outcome }) => {
    const options = Object.fromEntries(
      Object.entries(config).map(([name, value]) => [names[name] ?? name, translate(value)]),
    )
    const found = problems(options)
    const expected = id in stricter ? 'error' : outcome
    expect([stricter[id], found.length > 0 ? 'error' : 'ok']).toEqual([stricter[id], expected])
  })

  test('every exemption is of a recorded case that was accepted', () => {
    for (const id of Object.keys(stricter)) {
      expect(recorded.cases.find((one) => one.id === id)?.outcome).toBe('ok')
    }
  })
})
