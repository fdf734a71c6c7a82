import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clearCookie, type CookieAttributes, findCookies, setCookie } from '../src/cookie.js'
import recorded from './fixtures/cookie-headers.json' with { type: 'json' }
import { expandCookieHeader } from './helpers/expand-cookie-header.js'
import { counterexample } from './helpers/unit-property.js'

describe('findCookies', () => {
  const cookies = { A: `1${'A-_a'.repeat(18)}bcd`, B: `1${'B_-b'.repeat(18)}bcd` }

  test.each(recorded.cases.map((one) => [one.id, one] as const))(
    'finds what is recorded for %s',
    (_, { header, cookieName, expected }) => {
      const texts = findCookies(header === null ? undefined : expandCookieHeader(header, cookies), cookieName)
      const first = texts.find((text) => text === cookies.A || text === cookies.B)
      const outcome = first === cookies.A ? 'A' : first === cookies.B ? 'B' : 'new'
      expect(expected).toContain(outcome)
    },
  )

  test('returns every value of the name, each once, in the order of the header', () => {
    expect(findCookies('a=1; id=x; id=y; id=x; b=2; id=z', 'id')).toEqual(['x', 'y', 'z'])
  })

  test('returns nothing for a cookie without a value or without an equals sign', () => {
    expect(findCookies('id; idx; id=; id=""; id= ; id=\t', 'id')).toEqual([])
  })

  test('keeps equals signs within a value', () => {
    expect(findCookies('id=a=b==', 'id')).toEqual(['a=b=='])
  })

  test('takes quotes off only in pairs', () => {
    expect(findCookies('id="a"', 'id')).toEqual(['a'])
    expect(findCookies('id="a', 'id')).toEqual(['"a'])
    expect(findCookies('id=a"', 'id')).toEqual(['a"'])
    expect(findCookies('id="', 'id')).toEqual(['"'])
  })

  test('finds ours behind however many of the same name', () => {
    // Comparing each with all the others would take minutes.
    const planted = Array.from({ length: 50_000 }, (_, index) => `vishnu=${String(index).padStart(76, '1')}`)
    expect(findCookies([...planted, 'vishnu=ours'].join('; '), 'vishnu').at(-1)).toBe('ours')
  })

  describe('reads a prefixed name only as a browser would have written it', () => {
    test.each([
      ['a comma is no separator', 'x=1, __Host-id=evil', []],
      ['a comma within quotes is none either', 'x="1, __Host-id=evil"', []],
      ['quotes belong to the value', '__Host-id="evil"', ['"evil"']],
      ['the rest of a pair belongs to the value', '__Host-id=a, __Host-id=b', ['a, __Host-id=b']],
      ['case matters', '__host-id=evil; __HOST-ID=evil', []],
      ['a nameless cookie has no name', '=__Host-id=evil', []],
      ['a value with a name in it is still a value', 'x=__Host-id=evil', []],
      ['spaces and tabs around it are the separator', 'x=1;\t __Host-id=good \t; y=2', ['good']],
    ])('%s', (_, header, expected) => {
      expect(findCookies(header, '__Host-id')).toEqual(expected)
    })

    // Only what the standard calls blank may be trimmed: `\u2000__Host-id` is a name that any subdomain may set.
    const blanks = [
      '\u00a0',
      '\u0085',
      '\u1680',
      '\u2000',
      '\u2003',
      '\u2028',
      '\u2029',
      '\u3000',
      '\ufeff',
      '\v',
      '\f',
      '\0',
    ]
    test.each(['__Host-id', '__Secure-id', 'id'])('no other blank is trimmed from around %s', (name) => {
      for (const blank of blanks) {
        expect(findCookies(`${blank}${name}=evil; ${name}${blank}=evil`, name)).toEqual([])
        expect(findCookies(`${name}=${blank}value${blank}`, name)).toEqual([`${blank}value${blank}`])
      }
    })
  })

  const names = fc.constantFrom('vishnu', '__Host-id', '__Secure-vishnu', 'a.c')
  const fragments = fc.oneof(
    names,
    fc.constantFrom('=', ';', '; ', ',', ' ', '"', '\t', '\\', '\u00a0', '%', '$'),
    fc.string(),
  )

  test('never throws, and every value that it returns stands in the header', () => {
    const broken = counterexample(
      fc.property(fc.array(fragments, { maxLength: 40 }), names, (parts, name) => {
        const header = parts.join('')
        const values = findCookies(header, name)
        expect(new Set(values).size).toBe(values.length)
        for (const value of values) {
          expect(value).not.toBe('')
          expect(header).toContain(name)
          expect(header).toContain(value)
        }
      }),
      600,
    )
    expect(broken).toBeUndefined()
  })

  test('no foreign cookie, however strange, hides ours', () => {
    const values = fc.stringMatching(/^[\w-]{1,80}$/)
    const junk = fc.array(fc.oneof(fragments, fc.string({ unit: 'binary' }), fc.json()), { maxLength: 15 })
    const broken = counterexample(
      fc.property(names, values, junk, junk, (name, value, before, after) => {
        const header = [...before, `${name}=${value}`, ...after].join('; ')
        expect(findCookies(header, name)).toContain(value)
      }),
      600,
    )
    expect(broken).toBeUndefined()
  })
})

const plain: CookieAttributes = {
  name: 'vishnu',
  domain: undefined,
  path: '/',
  secure: true,
  httpOnly: true,
  sameSite: 'lax',
  partitioned: false,
  priority: undefined,
}
const everything: CookieAttributes = {
  name: '__Secure-id',
  domain: 'example.com',
  path: '/shop',
  secure: true,
  httpOnly: true,
  sameSite: 'none',
  partitioned: true,
  priority: 'high',
}
const NEW_YEAR = Date.UTC(2026, 0, 1)

describe('setCookie', () => {
  test('writes a cookie that ends with the browser session', () => {
    expect(setCookie(plain, 'value', undefined, NEW_YEAR)).toBe('vishnu=value; Path=/; HttpOnly; Secure; SameSite=Lax')
  })

  test('writes a cookie with a life of its own, as Max-Age and as Expires', () => {
    expect(setCookie(plain, 'value', 3600, NEW_YEAR)).toBe(
      'vishnu=value; Max-Age=3600; Path=/; Expires=Thu, 01 Jan 2026 01:00:00 GMT; HttpOnly; Secure; SameSite=Lax',
    )
  })

  test('writes every attribute', () => {
    expect(setCookie(everything, 'value', 60, NEW_YEAR)).toBe(
      '__Secure-id=value; Max-Age=60; Domain=example.com; Path=/shop; Expires=Thu, 01 Jan 2026 00:01:00 GMT; ' +
        'HttpOnly; Secure; Partitioned; Priority=High; SameSite=None',
    )
  })

  test('leaves out what is off, but never SameSite', () => {
    const bare: CookieAttributes = { ...plain, path: '', secure: false, httpOnly: false, sameSite: 'strict' }
    expect(setCookie(bare, 'value', undefined, NEW_YEAR)).toBe('vishnu=value; SameSite=Strict')
  })

  test('never encodes or quotes the value', () => {
    const value = `1${'Aa0-_'.repeat(15)}`
    expect(setCookie(plain, value, undefined, NEW_YEAR)).toMatch(new RegExp(`^vishnu=${value};`))
  })

  test('says GMT and means it, wherever the server stands', () => {
    const { TZ } = process.env
    try {
      for (const [zone, hour] of [
        ['Asia/Tokyo', 9],
        ['America/Los_Angeles', 16],
        ['UTC', 0],
      ] as const) {
        process.env.TZ = zone
        expect(new Date(NEW_YEAR).getHours()).toBe(hour)
        expect(setCookie(plain, 'value', 3600, NEW_YEAR)).toContain('; Expires=Thu, 01 Jan 2026 01:00:00 GMT;')
        expect(clearCookie(plain)).toContain('; Expires=Thu, 01 Jan 1970 00:00:00 GMT;')
      }
    } finally {
      if (TZ === undefined) delete process.env.TZ
      else process.env.TZ = TZ
    }
  })
})

describe('clearCookie', () => {
  test('empties and expires the cookie; the first of January 1970 was a Thursday', () => {
    expect(clearCookie(plain)).toBe(
      'vishnu=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax',
    )
  })

  test('repeats everything by which a browser tells cookies apart', () => {
    expect(clearCookie(everything)).toBe(
      '__Secure-id=; Max-Age=0; Domain=example.com; Path=/shop; Expires=Thu, 01 Jan 1970 00:00:00 GMT; ' +
        'HttpOnly; Secure; Partitioned; Priority=High; SameSite=None',
    )
  })
})

describe('every Set-Cookie line', () => {
  const label = '[A-Za-z\\d]([A-Za-z\\d-]{0,61}[A-Za-z\\d])?'
  /** cookie-av of RFC 6265bis, section 4.1.1, with the additions of CHIPS and of Chromium. */
  const attribute = {
    'Max-Age': /^(0|[1-9]\d*)$/,
    Expires:
      /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT$/,
    Domain: new RegExp(`^\\.?${label}(\\.${label})*$`),
    Path: /^[\x20-\x3a\x3c-\x7e]+$/,
    Secure: /^$/,
    HttpOnly: /^$/,
    Partitioned: /^$/,
    SameSite: /^(Strict|Lax|None)$/,
    Priority: /^(Low|Medium|High)$/,
  }
  const token = /^[\w!#$%&'*+\-.^`|~]+$/
  const cookieOctets = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/

  const attributes: fc.Arbitrary<CookieAttributes> = fc.record({
    name: fc.stringMatching(token),
    domain: fc.option(fc.domain(), { nil: undefined }),
    path: fc.stringMatching(/^(\/[\x20-\x3a\x3d-\x7e]{0,40})?$/),
    secure: fc.boolean(),
    httpOnly: fc.boolean(),
    sameSite: fc.constantFrom('lax', 'strict', 'none'),
    partitioned: fc.boolean(),
    priority: fc.constantFrom('low', 'medium', 'high', undefined),
  })
  const values = fc.stringMatching(/^[\w-]{1,80}$/)
  const lives = fc.option(fc.integer({ min: 1, max: 400 * 86_400 }), { nil: undefined })
  const times = fc.integer({ min: 0, max: Date.UTC(2200, 0, 1) })

  function parse(line: string): { name: string; value: string; av: Map<string, string> } {
    const [pair = '', ...avs] = line.split('; ')
    const [name = '', value = ''] = pair.split(/=(.*)/s)
    expect(name).toMatch(token)
    expect(value).toMatch(cookieOctets)
    const av = new Map<string, string>()
    for (const text of avs) {
      const [key = '', attributeValue = ''] = text.split(/=(.*)/s)
      expect(av.has(key)).toBe(false)
      expect(Object.keys(attribute)).toContain(key)
      expect(attributeValue).toMatch(attribute[key as keyof typeof attribute])
      av.set(key, attributeValue)
    }
    return { name, value, av }
  }

  test('follows the grammar of RFC 6265bis', () => {
    const broken = counterexample(
      fc.property(attributes, values, lives, times, (given, value, seconds, now) => {
        const parsed = parse(setCookie(given, value, seconds, now))
        expect(parsed).toMatchObject({ name: given.name, value })
        expect(parsed.av.get('Domain')).toBe(given.domain)
        expect(parsed.av.get('Path') ?? '').toBe(given.path)
        expect(parsed.av.has('Secure')).toBe(given.secure)
        expect(parsed.av.has('HttpOnly')).toBe(given.httpOnly)
        expect(parsed.av.has('Partitioned')).toBe(given.partitioned)
        expect(parsed.av.get('SameSite')?.toLowerCase()).toBe(given.sameSite)
        expect(parsed.av.get('Priority')?.toLowerCase()).toBe(given.priority)
      }),
      500,
    )
    expect(broken).toBeUndefined()
  })

  test('gives Max-Age and Expires the same meaning, or has neither', () => {
    const broken = counterexample(
      fc.property(lives, times, (seconds, now) => {
        const { av } = parse(setCookie(plain, 'value', seconds, now))
        const [maxAge, expires] = [av.get('Max-Age'), av.get('Expires')]
        expect(maxAge).toBe(seconds?.toString())
        const end = Math.floor(now / 1000) + (seconds ?? 0)
        expect(expires).toBe(seconds === undefined ? undefined : new Date(end * 1000).toUTCString())
      }),
    )
    expect(broken).toBeUndefined()
  })

  test('is as good when it clears: the same name, Domain, Path, Secure and Partitioned', () => {
    const broken = counterexample(
      fc.property(attributes, values, times, (given, value, now) => {
        const set = parse(setCookie(given, value, 60, now))
        const clear = parse(clearCookie(given))
        expect([clear.name, clear.value]).toEqual([set.name, ''])
        expect([clear.av.get('Max-Age'), clear.av.get('Expires')]).toEqual(['0', 'Thu, 01 Jan 1970 00:00:00 GMT'])
        for (const key of ['Domain', 'Path', 'Secure', 'HttpOnly', 'Partitioned', 'SameSite', 'Priority']) {
          expect(clear.av.get(key)).toBe(set.av.get(key))
        }
      }),
    )
    expect(broken).toBeUndefined()
  })
})
