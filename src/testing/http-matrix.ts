import assert from 'node:assert/strict'
import type { Session } from '../session.js'
import { cases, each, type Play, type ScenarioCase } from './http-case.js'
import { change, textOf } from './http-pages.js'
import { isOurs, type Reply, type ScenarioAnswer, type ScenarioHandler, type Visitor } from './http-scene.js'

/*
 * Every way to change a session, on every kind of answer: what is stored, which cookie leaves, and that the one comes
 * before the other. Each cell needs the adapter at least once, since what acts at once stores without it.
 */

/** What a visit leaves behind. */
interface Outcome {
  /** Of ours, on its answer: one that ends with the browser, one with a Max-Age, or one that removes it. */
  readonly cookie: 'none' | 'new' | 'lasting' | 'cleared'
  /** What the next visit finds. */
  readonly next: string
  /** What the cookie from before finds. Default: the same. */
  readonly old?: string
}

interface Operation {
  readonly act: (session: Session) => unknown
  /** For a visitor whose session holds the user ada, and for one without a session. */
  readonly returning: Outcome
  readonly first: Outcome
  /** What the next visit of the returning one finds where the answer to an error can't carry a cookie. */
  readonly kept: string
}

const HOUR = 3600
const KNOWN = 'ada nothing 0'
const UNKNOWN = 'nothing nothing 0'
const NOTHING: Outcome = { cookie: 'none', next: UNKNOWN }

const operations: Readonly<Record<string, Operation>> = {
  set: {
    act: (session) => session.set('note', 'set'),
    returning: { cookie: 'none', next: 'ada set 0' },
    first: { cookie: 'new', next: 'nothing set 0' },
    kept: KNOWN,
  },
  update: {
    act: (session) => session.update('note', (note) => `${textOf(note)}+`),
    returning: { cookie: 'none', next: 'ada nothing+ 0' },
    first: { cookie: 'new', next: 'nothing nothing+ 0' },
    kept: 'ada nothing+ 0',
  },
  save: {
    act: (session) => {
      session.set('note', 'saved')
      return session.save()
    },
    returning: { cookie: 'none', next: 'ada saved 0' },
    first: { cookie: 'new', next: 'nothing saved 0' },
    kept: 'ada saved 0',
  },
  regenerate: {
    act: (session) => session.regenerate(),
    returning: { cookie: 'new', next: KNOWN, old: UNKNOWN },
    first: NOTHING,
    kept: KNOWN,
  },
  terminate: {
    act: (session) => session.terminate(),
    returning: { cookie: 'cleared', next: UNKNOWN },
    first: NOTHING,
    kept: UNKNOWN,
  },
  timeout: {
    act: (session) => {
      session.timeout = HOUR
    },
    returning: { cookie: 'lasting', next: `ada nothing ${HOUR}` },
    first: NOTHING,
    kept: KNOWN,
  },
}

const answers: Readonly<Record<string, ScenarioAnswer>> = {
  'answer 2xx': { status: 201 },
  'answer 3xx': { status: 303, headers: { location: '/elsewhere' } },
  'answer 4xx': { status: 404 },
  'answer 5xx': { status: 502 },
}

/** Milliseconds that a write takes: enough for an answer that does not wait to be seen first. */
const WRITE = 5

function cell(operation: Operation, status: number, answer: () => ScenarioAnswer): Play {
  const { act, returning, first } = operation
  return async (scene) => {
    await scene.open({ '/act': change(act, answer), '/': look })

    const visitor = await scene.visitorWith({ user: 'ada' })
    const before = visitor.clone()
    const { reply, log } = await scene.watch(visitor, '/act', WRITE)
    assert.equal(reply.status, status)
    assert.equal(cookieOf(reply), returning.cookie, 'the cookie of a returning visitor')
    assert.deepEqual([log.at(-1), log.indexOf('stored')], ['head', 0], 'stored first, then answered')
    assert.equal(await next(visitor), returning.next, 'what is stored for a returning visitor')
    assert.equal(await next(before), returning.old ?? returning.next, 'what the old cookie opens')

    const stranger = scene.visitor()
    const welcome = await scene.watch(stranger, '/act', WRITE)
    assert.equal(cookieOf(welcome.reply), first.cookie, 'the cookie of a new visitor')
    assert.deepEqual(welcome.log, first.cookie === 'new' ? ['stored', 'head'] : ['head'])
    assert.equal(await next(stranger), first.next, 'what is stored for a new visitor')
  }
}

/** The answer to the error can't be reached: no cookie leaves, so nothing may be done that needs one. */
function unreachableCell({ act, kept }: Operation): Play {
  return async (scene) => {
    await scene.open({ '/act': change(act, fail), '/': look })
    const visitor = await scene.visitorWith({ user: 'ada' })
    const reply = await visitor.get('/act')
    assert.deepEqual([reply.status, reply.setCookies.filter(isOurs)], [500, []])
    assert.equal(await next(visitor), kept)
    assert.deepEqual((await scene.visitor().get('/act')).setCookies.filter(isOurs), [])
  }
}

const look: ScenarioHandler = async ({ session }) => {
  const mine = await session()
  return { status: 200, body: [mine.get('user'), mine.get('note'), String(mine.timeout)].map(textOf).join(' ') }
}

async function next(visitor: Visitor): Promise<string> {
  return (await visitor.get('/')).body
}

function fail(): never {
  throw new Error('Thrown by the handler on purpose')
}

function cookieOf({ setCookies }: Reply): Outcome['cookie'] | 'several' {
  const [line, ...more] = setCookies.filter(isOurs)
  if (more.length > 0) return 'several'
  if (line === undefined) return 'none'
  const maxAge = /; Max-Age=(\d+)/.exec(line)?.[1]
  if (maxAge === undefined) return 'new'
  return maxAge === '0' ? 'cleared' : 'lasting'
}

export const matrix: ScenarioCase[] = Object.entries(operations).flatMap(([name, operation]) => {
  const cellName = (kind: string): string => `${name}, then ${kind}: it is stored first, and the right cookie leaves`
  return [
    ...cases(
      { cookie: true },
      each(answers, (kind, answer) => ({ [cellName(kind)]: cell(operation, answer.status, () => answer) })),
    ),
    ...cases({ cookie: true, commitOnError: true }, { [cellName('throw')]: cell(operation, 500, fail) }),
    ...cases(
      { cookie: true, commitOnError: false },
      {
        [`${name}, then throw: only what acted at once is kept, and no cookie leaves, as declared`]:
          unreachableCell(operation),
      },
    ),
  ]
})
