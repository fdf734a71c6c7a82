import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { SessionEvent } from '../src/index.js'
import { type ResponseHeaders, responseHeaders } from '../src/response-headers.js'
import { counterexample } from './helpers/unit-property.js'
import { World } from './helpers/unit-world.js'

const COOKIE = 'vishnu=value; Path=/'

interface Outcome extends ResponseHeaders {
  events: SessionEvent['type'][]
}

function headersFor(cookie: string | undefined, own: Record<string, string | undefined>): Outcome {
  const events: SessionEvent['type'][] = []
  const headers = responseHeaders(
    cookie === undefined ? [] : [cookie],
    (name) => own[name],
    (type) => void events.push(type),
  )
  return { ...headers, events }
}

/** What the response ends up with; undefined where the application's own header stays. */
function changed(name: string, { set }: ResponseHeaders): string | undefined {
  return set.find(([candidate]) => candidate === name)?.[1]
}

describe('Vary', () => {
  test.each([
    [undefined, 'Cookie'],
    ['', 'Cookie'],
    ['Accept-Encoding', 'Accept-Encoding, Cookie'],
    ['Accept, Origin', 'Accept, Origin, Cookie'],
    ['X-Cookie', 'X-Cookie, Cookie'],
    ['Cookie2', 'Cookie2, Cookie'],
    ['Cookie', undefined],
    ['cookie', undefined],
    ['Accept,COOKIE , Origin', undefined],
    ['*', undefined],
    ['Accept, *', undefined],
  ])('of %j becomes %j, with and without a cookie', (vary, expected) => {
    expect(changed('vary', headersFor(undefined, { vary }))).toBe(expected)
    expect(changed('vary', headersFor(COOKIE, { vary }))).toBe(expected)
  })

  test('says Cookie once, and keeps every other name', () => {
    const names = fc.array(fc.constantFrom('Accept', 'cookie', 'Cookie', 'COOKIE', 'Origin', 'X-Cookie', '*'))
    const property = fc.property(names, fc.boolean(), (list, hasCookie) => {
      const vary = list.join(', ')
      const text = changed('vary', headersFor(hasCookie ? COOKIE : undefined, { vary })) ?? vary
      const result = text.split(', ')
      expect(result.slice(0, list.length)).toEqual(list.length > 0 ? list : [])
      expect(result.some((name) => name === '*' || name.toLowerCase() === 'cookie')).toBe(true)
      expect(result.length).toBeLessThanOrEqual(list.length + 1)
    })
    expect(counterexample(property)).toBeUndefined()
  })
})

describe('Cache-Control without a cookie of ours', () => {
  test.each([
    [undefined, 'private, no-cache'],
    ['', 'private, no-cache'],
    ['no-store', undefined],
    ['private', undefined],
    ['public, max-age=60', undefined],
    ['max-age=0', undefined],
    ['no-cache', undefined],
  ])('of %j becomes %j', (cacheControl, expected) => {
    const outcome = headersFor(undefined, { 'cache-control': cacheControl })
    expect(changed('cache-control', outcome)).toBe(expected)
    expect([outcome.append, outcome.events]).toEqual([[], []])
  })
})

describe('Cache-Control with a cookie of ours', () => {
  test.each([
    [undefined, 'no-store', []],
    ['', 'no-store', []],
    ['no-store', undefined, []],
    ['No-Store', undefined, []],
    ['private', undefined, []],
    ['PRIVATE, max-age=60', undefined, []],
    ['max-age=0,no-store', undefined, []],
    ['public', 'no-store', ['insecure']],
    ['public, max-age=60', 'no-store', ['insecure']],
    ['s-maxage=60', 'no-store', ['insecure']],
    ['max-age=60', 'no-store', ['insecure']],
    ['no-cache', 'no-store', ['insecure']],
    // Caches need not heed the qualified forms (RFC 9111, section 5.2.2).
    ['no-cache="Set-Cookie"', 'no-store', ['insecure']],
    ['private="Set-Cookie"', 'no-store', ['insecure']],
    ['x-private', 'no-store', ['insecure']],
    ['community="private"', 'no-store', ['insecure']],
  ])('of %j becomes %j', (cacheControl, expected, events) => {
    const outcome = headersFor(COOKIE, { 'cache-control': cacheControl })
    expect(changed('cache-control', outcome)).toBe(expected)
    expect(outcome.events).toEqual(events)
  })

  test('the warning says what was replaced and what to send instead', () => {
    const messages: string[] = []
    responseHeaders(
      [COOKIE],
      (name) => (name === 'cache-control' ? 'public, max-age=60' : undefined),
      (_, message) => void messages.push(message),
    )
    expect(messages).toEqual([expect.stringMatching(/^Cache-Control: public, max-age=60 .*private or no-store/)])
    expect(messages.join()).not.toContain('value')
  })
})

describe('Set-Cookie', () => {
  test("is added to the application's own, never put in their place", () => {
    expect(headersFor(COOKIE, { 'set-cookie': 'theirs=1' })).toMatchObject({ append: [['set-cookie', COOKIE]] })
    expect(changed('set-cookie', headersFor(COOKIE, {}))).toBeUndefined()
    expect(headersFor(undefined, { 'set-cookie': 'theirs=1' }).append).toEqual([])
  })
})

describe('a request', () => {
  test('that did not ask for the session gets no header at all', async () => {
    const world = new World()
    const visitor = await world.visitorWith({ a: 1 })
    expect(await visitor.open().answer()).toMatchObject({ set: [], append: [] })
  })

  test('that only asked, and read nothing, is one visitor’s page already', async () => {
    for (const visitor of [new World().visitor(), await new World().visitorWith({ a: 1 })]) {
      const request = visitor.open()
      await request.session()
      expect((await request.answer()).set).toEqual([
        ['vary', 'Cookie'],
        ['cache-control', 'private, no-cache'],
      ])
    }
  })

  test('that changed something has both, and one cookie', async () => {
    const request = new World({ autoSave: true }).visitor().open()
    ;(await request.session()).set('a', 1)
    const { set, append } = await request.answer({ vary: 'Origin', 'cache-control': 'public' })
    expect(set).toEqual([
      ['vary', 'Origin, Cookie'],
      ['cache-control', 'no-store'],
    ])
    expect(append).toEqual([['set-cookie', expect.stringMatching(/^vishnu=1/)]])
  })

  test('that ended a session and began another still sends one cookie', async () => {
    const visitor = await new World({ autoSave: true }).visitorWith({ a: 1 })
    const request = visitor.open()
    const session = await request.session()
    session.regenerate()
    await session.save()
    await session.terminate()
    session.set('b', 1)
    await session.save()
    session.regenerate()
    const { append } = await request.answer()
    expect(append).toHaveLength(1)
    expect((await visitor.session()).entries()).toEqual([['b', 1]])
  })
})
