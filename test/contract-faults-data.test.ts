import { describe, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { type Backend, type Entry, SessionError, type SessionEvent } from '../src/index.js'
import { recordingBackend, wrapBackend } from './helpers/contract-backends.js'
import { manualClock } from './helpers/clock.js'
import { begin, newVisitor, request, startServer, valuesOf } from './helpers/contract-requests.js'

const { now } = manualClock()

/** A store with one session in it, whose bytes a test may spoil. */
async function oneSession(values: Record<string, unknown>) {
  const events: SessionEvent[] = []
  const { backend, calls } = recordingBackend(memory())
  const sessions = startServer(backend, { autoSave: true, clock: now, onEvent: (event) => void events.push(event) })
  const cookie = await newVisitor(sessions, values)
  const key = calls[0]!.key
  const entry = async (): Promise<Entry> => (await backend.read(key, now()))!
  const spoil = async (edit: (bytes: Buffer) => Uint8Array): Promise<Buffer> => {
    const before = await entry()
    const bytes = Buffer.from(edit(Buffer.from(before.value)))
    await backend.replace(key, before, bytes, before.deadline!, now())
    return bytes
  }
  return { sessions, cookie, events, spoil, atRest: async () => (await entry()).value }
}

describe('a record that was truncated', () => {
  test("is nobody's session, and is left as it is", async () => {
    const { sessions, cookie, events, spoil, atRest } = await oneSession({ user: 'alice' })
    const bytes = await spoil((whole) => whole.subarray(0, -1))
    const answer = await request(sessions, cookie, (session) => {
      expect(session.keys()).toEqual([])
      session.set('user', 'bob')
    })
    expect(events.map(({ type }) => type)).toEqual(['corrupt'])
    expect(answer.cookie).not.toBe(cookie)
    expect(await valuesOf(sessions, answer.cookie)).toEqual({ user: 'bob' })
    for (const write of [
      () => request(sessions, cookie, (session) => session.update('user', () => 'bob')),
      () => request(sessions, cookie, (session) => session.regenerate()),
    ]) {
      await write()
      expect(bytes.equals(await atRest())).toBe(true)
    }
  })

  test('can be ended by a log-out, so that a better copy of it opens nothing either', async () => {
    const { sessions, cookie, spoil, atRest } = await oneSession({ user: 'alice' })
    let whole: Uint8Array | undefined
    await spoil((bytes) => (whole = bytes).subarray(0, -1))
    const late = await begin(sessions, cookie)
    const answer = await request(sessions, cookie, (session) => session.terminate())
    expect(answer.setCookies).toEqual([expect.stringContaining('Max-Age=0')])
    expect(Buffer.from(await atRest()).includes('alice')).toBe(false)
    expect((await begin(sessions, cookie)).session.keys()).toEqual([])
    late.session.set('user', 'bob')
    expect((await late.respond()).cookie).not.toBe(cookie)
    expect(whole).toBeDefined()
  })

  test('is noticed wherever it ends', async () => {
    const { sessions, cookie, spoil } = await oneSession({ user: 'alice', cart: ['book'] })
    let left = (await spoil((whole) => whole)).length
    while (left-- > 0) {
      await spoil((rest) => rest.subarray(0, -1))
      expect(await valuesOf(sessions, cookie)).toEqual({})
    }
  })
})

describe("a record under another one's key", () => {
  test("is an outage, not a stranger's session", async () => {
    const { sessions, cookie, spoil } = await oneSession({ user: 'alice' })
    const other = await oneSession({ user: 'mallory' })
    const foreign = await other.atRest()
    await spoil(() => foreign)
    await expect(begin(sessions, cookie)).rejects.toMatchObject({ code: 'ERR_BACKEND', status: 503 })
  })
})

describe('one bad value', () => {
  async function withBadLine() {
    const world = await oneSession({ before: 1, bad: { list: [1, 2] }, after: 2 })
    // The same number of bytes: only this line is damaged.
    await world.spoil((bytes) => Buffer.from(bytes.toString('latin1').replace('[1,2]', '[1,2}'), 'latin1'))
    return world
  }

  test('costs the visitor that value and no other', async () => {
    const { sessions, cookie } = await withBadLine()
    const { session } = await begin(sessions, cookie)
    expect(session.get('before')).toBe(1)
    expect(session.get('after')).toBe(2)
    expect(session.has('bad')).toBe(true)
    expect(() => session.get('bad')).toThrow(SessionError)
    expect(() => session.get('bad')).toThrow(expect.objectContaining({ code: 'ERR_RECORD' }))
  })

  test('outlives what is written to others, byte by byte', async () => {
    const { sessions, cookie, atRest } = await withBadLine()
    await request(sessions, cookie, (session) => {
      session.set('before', 'changed')
      session.delete('after')
      session.set('more', true)
    })
    expect(new TextDecoder().decode(await atRest())).toContain('\n"bad"\t{"list":[1,2}}\n')
    const { session } = await begin(sessions, cookie)
    expect([session.get('before'), session.get('after'), session.get('more')]).toEqual(['changed', undefined, true])
  })

  test('can be replaced', async () => {
    const { sessions, cookie } = await withBadLine()
    await request(sessions, cookie, (session) => session.set('bad', 'mended'))
    expect(await valuesOf(sessions, cookie)).toEqual({ before: 1, bad: 'mended', after: 2 })
  })

  test('moves along when the session gets a new id', async () => {
    const { sessions, cookie } = await withBadLine()
    const answer = await request(sessions, cookie, (session) => session.regenerate())
    const { session } = await begin(sessions, answer.cookie)
    expect(session.get('after')).toBe(2)
    expect(() => session.get('bad')).toThrow(expect.objectContaining({ code: 'ERR_RECORD' }))
  })
})

describe('a backend whose writes do not tell the version', () => {
  function withoutVersions(inner: Backend): Backend {
    const backend = wrapBackend(inner, async ({ operation, run }) => {
      const outcome = await run()
      if (operation === 'read' || typeof outcome !== 'object' || outcome === null) return outcome
      return { ...outcome, version: undefined }
    })
    return {
      ...backend,
      replace: async (key, entry, ...rest) => {
        if (entry.version === undefined) throw new SessionError('ERR_BACKEND', 'Nobody has asked for the version')
        return backend.replace(key, entry, ...rest)
      },
    }
  }

  test('can be written to several times in one request', async () => {
    const sessions = startServer(withoutVersions(memory()), { autoSave: true })
    const { cookie } = await request(sessions, undefined, async (session) => {
      session.set('a', 1)
      await session.save()
      await session.update('count', (n = 0) => (n as number) + 1)
      await session.update('count', (n) => (n as number) + 1)
      session.set('b', 2)
    })
    expect(await valuesOf(sessions, cookie)).toEqual({ a: 1, b: 2, count: 2 })
    const moved = await request(sessions, cookie, async (session) => {
      await session.update('count', (n) => (n as number) + 1)
      session.regenerate()
    })
    expect(await valuesOf(sessions, moved.cookie)).toEqual({ a: 1, b: 2, count: 3 })
    await request(sessions, moved.cookie, async (session) => {
      await session.update('count', (n) => (n as number) + 1)
      await session.terminate()
    })
    expect(await valuesOf(sessions, moved.cookie)).toEqual({})
  })

  test('loses nothing that others store in between', async () => {
    const sessions = startServer(withoutVersions(memory()), { autoSave: true })
    const cookie = await newVisitor(sessions, { user: 'alice' })
    const set = (key: string): Promise<unknown> => request(sessions, cookie, (session) => session.set(key, true))
    const answer = await request(sessions, cookie, async (session) => {
      await session.update('mine', () => true)
      await set('theirs')
      await session.update('mine too', () => true)
      await set('theirs too')
      session.set('mine at last', true)
    })
    expect(answer.setCookies).toEqual([])
    const keys = ['user', 'mine', 'theirs', 'mine too', 'theirs too', 'mine at last']
    expect(Object.keys(await valuesOf(sessions, cookie)).toSorted()).toEqual(keys.toSorted())
  })

  test('loses nothing in a rotation either', async () => {
    const sessions = startServer(withoutVersions(memory()), { autoSave: true })
    const cookie = await newVisitor(sessions, { user: 'alice' })
    const { cookie: newCookie } = await request(sessions, cookie, async (session) => {
      await session.update('mine', () => true)
      await request(sessions, cookie, (other) => other.set('theirs', true))
      session.regenerate()
    })
    expect(await valuesOf(sessions, newCookie)).toEqual({ user: 'alice', mine: true, theirs: true })
  })
})

describe('a session that is larger than the backend allows', () => {
  const world = async (autoSave: boolean) => {
    const events: SessionEvent[] = []
    const sessions = startServer(
      wrapBackend(memory(), ({ run }) => run(), 300),
      { autoSave, onEvent: (event) => void events.push(event) },
    )
    return { sessions, events, cookie: await newVisitor(sessions, { user: 'alice', page: 'x'.repeat(50) }) }
  }
  const tooLarge = expect.objectContaining({
    code: 'ERR_TOO_LARGE',
    message: expect.stringMatching(/\d+ bytes.* 300: keep/),
  })

  test('is a typed error of each verb, and what was stored stays', async () => {
    const { sessions, cookie } = await world(false)
    const { session, respond } = await begin(sessions, cookie)
    await expect(session.update('page', () => 'x'.repeat(300))).rejects.toEqual(tooLarge)
    session.set('more', 'x'.repeat(300))
    await expect(session.save()).rejects.toEqual(tooLarge)
    session.regenerate()
    await expect(session.save()).rejects.toEqual(tooLarge)
    const stored = { user: 'alice', page: 'x'.repeat(50) }
    expect(await valuesOf(sessions, cookie)).toEqual(stored)
    // Without autoSave the response moves the session without what was never saved.
    expect(await valuesOf(sessions, (await respond()).cookie)).toEqual(stored)
  })

  test('can be made smaller and saved', async () => {
    const { sessions, cookie } = await world(false)
    await request(sessions, cookie, async (session) => {
      session.set('more', 'x'.repeat(200))
      await expect(session.save()).rejects.toEqual(tooLarge)
      session.delete('page')
      session.set('more', 'x'.repeat(50))
      await session.save()
    })
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'alice', more: 'x'.repeat(50) })
  })

  test('fails the response rather than being dropped, and is told', async () => {
    const { sessions, events, cookie } = await world(true)
    for (const brought of [cookie, undefined]) {
      const { session, respond } = await begin(sessions, brought)
      session.set('more', 'x'.repeat(300))
      await expect(respond()).rejects.toEqual(tooLarge)
      expect(events.splice(0)).toEqual([expect.objectContaining({ type: 'unsaved', cause: tooLarge })])
    }
    expect(await valuesOf(sessions, cookie)).toEqual({ user: 'alice', page: 'x'.repeat(50) })
  })
})

describe('a memory that is full', () => {
  const full = expect.objectContaining({ code: 'ERR_BACKEND_FULL', status: 503, statusCode: 503 })

  test('refuses new sessions, keeps the old ones, and recovers when they end', async () => {
    const clock = manualClock()
    const events: string[] = []
    const onEvent = ({ type }: SessionEvent): void => void events.push(type)
    const sessions = startServer(memory({ maxEntries: 2 }), { timeout: 60, clock: clock.now, onEvent })
    const cookies = [await newVisitor(sessions, { n: 1 }), await newVisitor(sessions, { n: 2 })]
    await expect(newVisitor(sessions, { n: 3 })).rejects.toEqual(full)
    // A rotation needs a place too; without one the visitor keeps the old id.
    const { session, respond } = await begin(sessions, cookies[0])
    session.regenerate()
    await expect(respond()).rejects.toEqual(full)
    expect(events).toEqual(['backendError', 'backendError'])
    expect(await Promise.all(cookies.map((cookie) => valuesOf(sessions, cookie)))).toEqual([{ n: 1 }, { n: 2 }])
    await request(sessions, cookies[0], (visitor) => visitor.update('n', () => 'changed'))

    clock.advance(60_000)
    expect(await valuesOf(sessions, await newVisitor(sessions, { n: 4 }))).toEqual({ n: 4 })
  })
})

test('memory keeps no buffer of its caller, and hands out none of its own', async () => {
  const backend = memory()
  for (const bytes of [Buffer.from('stored'), new Uint8Array(Buffer.from('stored'))]) {
    const key = bytes.constructor.name
    const expected = new Uint8Array(bytes)
    await backend.create(key, bytes, now() + 1000, now())
    bytes.fill(0)
    const first = await backend.read(key, now())
    expect(new Uint8Array(first!.value)).toEqual(expected)
    first!.value.fill(0)
    expect(new Uint8Array((await backend.read(key, now()))!.value)).toEqual(expected)
  }
})
