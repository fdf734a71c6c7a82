import { expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import { vishnuPython } from '../src/dialects/vishnu-python.js'
import type { Backend, PlainBackend, Session } from '../src/index.js'
import { forwardTo } from '../src/testing/forwarding-backend.js'
import { wrapBackend } from './helpers/contract-backends.js'
import { faultyBackend } from './helpers/contract-faults.js'
import { plainMemory } from './helpers/contract-plain.js'
import { begin, newVisitor, request, startServer, valuesOf } from './helpers/contract-requests.js'

// Stories that histories have told of this library, each played again by hand. The last is a limit, not a bug.

const count = (session: Session): Promise<unknown> => session.update('count', (n = 0) => (n as number) + 1)

test('a log-in takes along an update between two attempts of a save whose reply was lost', async () => {
  const store = memory()
  const server = startServer(store)
  const cookie = await newVisitor(server, { cart: 1 })
  let meanwhile: (() => Promise<unknown>) | undefined
  const troubled = wrapBackend(store, async ({ operation, run }) => {
    const outcome = await run()
    if (operation !== 'replace' || !meanwhile) return outcome
    const happen = meanwhile
    meanwhile = undefined
    await happen()
    throw new Error('connection reset')
  })

  const saving = await begin(startServer(troubled), cookie)
  let loggingIn = saving
  meanwhile = async () => {
    loggingIn = await begin(server, cookie)
    await request(server, cookie, count)
  }
  saving.session.set('note', 'set')
  await saving.session.save()
  loggingIn.session.set('user', 'alice')
  loggingIn.session.regenerate()
  await loggingIn.session.save()
  const { cookie: entered } = await loggingIn.respond()
  expect(await valuesOf(server, entered)).toEqual({ cart: 1, note: 'set', count: 1, user: 'alice' })
})

test('a log-out ends what a log-in at the same time has begun, though a reply that tells of it was cut short', async () => {
  const store = memory()
  const server = startServer(store)
  const cookie = await newVisitor(server, { cart: 1 })
  const troubled = faultyBackend(store)
  const leaving = await begin(startServer(troubled), cookie)
  const { cookie: entered } = await request(server, cookie, async (session) => {
    session.set('user', 'alice')
    session.regenerate()
    await session.save()
  })
  expect(await valuesOf(server, entered)).toEqual({ cart: 1, user: 'alice' })

  troubled.breakDown('read', 'is answered with half of the bytes', 1)
  await leaving.session.terminate()
  expect(troubled.hits()).toBe(1)
  expect(await valuesOf(server, entered)).toEqual({})
})

test.each([
  { layout: 'a plain layout', store: plainMemory(), dialect: vishnuPython(), found: { cart: 1 } },
  { layout: 'the native layout', store: memory(), dialect: undefined, found: {} },
])(
  'a first write that arrives again after the log-out finds on $layout what is promised there',
  async ({ store, dialect, found }) => {
    let sendAgain: () => Promise<unknown> = () => Promise.reject(new Error('nothing was created'))
    const resending = forwardTo<Backend | PlainBackend>(store, ({ operation }, run) => {
      if (operation === 'create') sendAgain = run
      return run()
    })
    const server = startServer(resending, dialect ? { dialect } : {})
    const cookie = await newVisitor(server, { cart: 1 })
    await request(server, cookie, (session) => session.terminate())
    expect(await valuesOf(server, cookie)).toEqual({})
    await sendAgain()
    // Without a tombstone nothing tells that a session has been here.
    expect(await valuesOf(server, cookie)).toEqual(found)
  },
)
