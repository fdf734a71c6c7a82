/*
 * Compiled, never run: what the types let through, and what they refuse. `tsc` fails if a line marked `@ts-expect-error`
 * compiles, or if any other does not.
 */
import express from 'express'
import { memory } from '../../src/backends/memory.js'
import { sessionMiddleware as expressMiddleware } from '../../src/adapters/express.js'
import { sessionMiddleware as nodeMiddleware } from '../../src/adapters/node.js'
import {
  type Backend,
  ConfigError,
  createSessions,
  type Entry,
  getSession,
  type ReadonlyValue,
  type Session,
  SessionError,
  type SessionErrorCode,
  type SessionEvent,
  type Sessions,
  SessionTypeError,
  TIMEOUT_SESSION,
} from '../../src/index.js'

// oxlint-disable typescript/no-unnecessary-type-parameters -- how two types are compared
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Compiles only if the two types are one. */
function same<A, B>(isSame: Same<A, B>): void {
  void isSame
}
// oxlint-enable typescript/no-unnecessary-type-parameters

interface Item {
  name: string
  tags: string[]
}

interface AsInterface {
  user: string
  visits: number
  cart: Item[]
  seen: Map<string, Item>
  roles: Set<Item>
  since: Date
  key: Uint8Array
  mode: 'light' | 'dark'
  nested: { deep: { list: number[] } }
  maybe?: string
  anything: unknown
  nothing: null
}

type AsAlias = { user: string; cart: Item[] }

const options = { secret: 'x', backend: memory() }

export async function reading(sessions: Sessions<AsInterface>, request: object): Promise<void> {
  const session = await sessions.get(request)
  same<typeof session, Session<AsInterface>>(true)
  same<Awaited<ReturnType<typeof sessions.current>>, Session<AsInterface>>(true)

  const user = session.get('user')
  same<typeof user, string | undefined>(true)
  const cart = session.get('cart')
  same<typeof cart, readonly { readonly name: string; readonly tags: readonly string[] }[] | undefined>(true)
  const since = session.get('since')
  same<typeof since, Date | undefined>(true)
  const key = session.get('key')
  same<typeof key, Uint8Array | undefined>(true)
  const mode = session.get('mode')
  same<typeof mode, 'light' | 'dark' | undefined>(true)
  const maybe = session.get('maybe')
  same<typeof maybe, string | undefined>(true)
  const anything = session.get('anything')
  same<typeof anything, unknown>(true)
  same<ReadonlyValue<Map<string, string[]>>, ReadonlyMap<string, readonly string[]>>(true)
  same<ReadonlyValue<Set<string[]>>, ReadonlySet<readonly string[]>>(true)

  const names: ('user' | 'cart')[] = session.keys().filter((name) => name === 'user' || name === 'cart')
  same<ReturnType<typeof session.keys>, (keyof AsInterface)[]>(true)
  for (const entry of session.entries()) if (entry[0] === 'visits') same<(typeof entry)[1], number>(true)
  void [user?.length, cart?.[0]?.tags[0]?.length, names, session.has('user')]

  // @ts-expect-error -- no such key
  session.get('usr')
  // @ts-expect-error -- no such key
  session.has('usr')
  // @ts-expect-error -- no such key
  session.delete('usr')
  // @ts-expect-error -- keys are text
  session.get(1)
  // @ts-expect-error -- there may be no value
  void session.get('user').length
  // @ts-expect-error -- there is no default argument: `?? 'nobody'` says it
  session.get('user', 'nobody')
}

export function mutating(session: Session<AsInterface>): void {
  // @ts-expect-error -- a read array can't be changed
  session.get('cart')?.push({ name: 'apple', tags: [] })
  // @ts-expect-error -- nor what is in it
  session.get('cart')?.[0]?.tags.push('red')
  const nested = session.get('nested')
  // @ts-expect-error -- nor an object
  if (nested) nested.deep = { list: [] }
  // @ts-expect-error -- however deep
  if (nested) nested.deep.list[0] = 1
  // @ts-expect-error -- a Map is read-only, since a change would be lost
  session.get('seen')?.set('apple', { name: 'apple', tags: [] })
  // @ts-expect-error -- so is what it holds
  session.get('seen')?.get('apple')?.tags.push('red')
  // @ts-expect-error -- so is a Set
  session.get('roles')?.clear()
  // @ts-expect-error -- the public id is not for the application to choose
  session.publicId = 'x'
  // @ts-expect-error -- nor is this
  session.started = true
}

export function writing(session: Session<AsInterface>): void {
  session.set('user', 'ada')
  session.set('cart', [{ name: 'apple', tags: ['red'] }])
  session.set('seen', new Map([['apple', { name: 'apple', tags: [] }]]))
  session.set('mode', 'dark')
  session.set('maybe', undefined)
  session.set('anything', { whatever: [1n, new Date()] })
  session.set('nothing', null)
  // What was read can be set again.
  const cart = session.get('cart') ?? []
  session.set('cart', [...cart, { name: 'pear', tags: [] }])
  session.set('cart', cart)
  const seen = session.get('seen')
  if (seen) session.set('seen', new Map(seen))
  if (seen) session.set('seen', seen)
  const removed: boolean = session.delete('user')
  void removed

  // @ts-expect-error -- a wrong value
  session.set('user', 7)
  // @ts-expect-error -- a wrong value deep inside
  session.set('cart', [{ name: 'apple', tags: [1] }])
  // @ts-expect-error -- a part is missing
  session.set('cart', [{ name: 'apple' }])
  // @ts-expect-error -- not one of the choices
  session.set('mode', 'blue')
  // @ts-expect-error -- no such key
  session.set('usr', 'ada')
  // @ts-expect-error -- a value is needed
  session.set('user')
  // @ts-expect-error -- undefined only where the data may be absent
  session.set('user', undefined)
}

export async function updating(session: Session<AsInterface>): Promise<void> {
  const visits = await session.update('visits', (count = 0) => count + 1)
  same<typeof visits, number>(true)
  const cart = await session.update('cart', (items = []) => [...items, { name: 'apple', tags: [] }])
  same<typeof cart, ReadonlyValue<Item[]>>(true)
  await session.update('seen', (seen) => new Map(seen).set('apple', { name: 'apple', tags: [] }))
  await session.update('user', () => 'ada')

  // @ts-expect-error -- there may be no value yet
  await session.update('visits', (count) => count + 1)
  // @ts-expect-error -- a wrong value
  await session.update('visits', () => 'one')
  // @ts-expect-error -- a promise would be stored as {}
  await session.update('visits', async (count = 0) => count + 1)
  // @ts-expect-error -- nothing returned is nothing stored
  await session.update('visits', () => undefined)
  // @ts-expect-error -- no such key
  await session.update('visit', () => 1)
  // @ts-expect-error -- the current value can't be changed in place
  await session.update('cart', (items = []) => (items.push({ name: 'apple', tags: [] }), items))
}

export async function verbs(session: Session<AsInterface>): Promise<void> {
  const saved: void = await session.save()
  const ended: void = await session.terminate()
  session.regenerate()
  session.regenerate({ authenticated: true })
  session.clear()
  session.timeout = 60
  session.timeout = TIMEOUT_SESSION
  const state: [boolean, boolean, number, string] = [
    session.started,
    session.needsSave,
    session.timeout,
    session.publicId,
  ]
  void [saved, ended, state]

  // @ts-expect-error -- seconds are a number
  session.timeout = '60'
  // @ts-expect-error -- TIMEOUT_SESSION says it
  session.timeout = undefined
  // @ts-expect-error -- a misspelt option
  session.regenerate({ authentificated: true })
}

export async function data(): Promise<void> {
  const typed = createSessions<AsInterface>(options)
  const alias = createSessions<AsAlias>(options)
  const untyped = createSessions(options)
  same<typeof typed, Sessions<AsInterface>>(true)
  same<typeof alias, Sessions<AsAlias>>(true)
  same<typeof untyped, Sessions>(true)

  const session = await untyped.get({})
  session.set('whatever', [1])
  const value = session.get('whatever')
  same<typeof value, unknown>(true)
  await session.update('count', (count) => (typeof count === 'number' ? count + 1 : 1))

  const ambient = await getSession<AsAlias>()
  same<typeof ambient, Session<AsAlias>>(true)
  const loose = await getSession()
  same<typeof loose, Session>(true)

  // @ts-expect-error -- values are kept by name
  createSessions<string>(options)
  // @ts-expect-error -- sessions of other data
  const other: Sessions<AsAlias> = typed
  void other
}

export function adapters(sessions: Sessions<AsInterface>, untyped: Sessions): void {
  express().use(expressMiddleware(sessions))
  express().use(expressMiddleware(untyped), nodeMiddleware(sessions))
  const takesAny = <Data extends object>(them: Sessions<Data>): Sessions<Data> => them
  same<ReturnType<typeof takesAny<AsInterface>>, Sessions<AsInterface>>(true)
  // @ts-expect-error -- options are no sessions
  expressMiddleware(options)
}

export function configuration(backend: Backend): void {
  createSessions({ secret: 'x', backend })
  createSessions({ secret: ['new', 'old'] as const, encryptKey: ['new', 'old'], backend })
  createSessions({ secret: 'x', backend, timeout: undefined, domain: undefined, onEvent: undefined, clock: undefined })
  createSessions({ secret: 'x', backend, sameSite: 'none', priority: 'high', clock: Date.now })
  createSessions({ secret: 'x', backend, random: (size) => new Uint8Array(size) })

  // @ts-expect-error -- nothing at all
  createSessions()
  // @ts-expect-error -- no backend
  createSessions({ secret: 'x' })
  // @ts-expect-error -- no secret
  createSessions({ backend })
  // @ts-expect-error -- bytes are no secret
  createSessions({ secret: new Uint8Array(32), backend })
  // @ts-expect-error -- seconds are a number
  createSessions({ secret: 'x', backend, timeout: '3600' })
  // @ts-expect-error -- lower case
  createSessions({ secret: 'x', backend, sameSite: 'Lax' })
  // @ts-expect-error -- the original's spelling
  createSessions({ secret: 'x', backend, cookie_name: 'id' })
  // @ts-expect-error -- a backend, not its name
  createSessions({ secret: 'x', backend: 'redis' })
  // @ts-expect-error -- not the factory
  createSessions({ secret: 'x', backend: memory })
}

/** The least that someone has to write for a backend of their own. */
export class OwnBackend implements Backend {
  async read(_key: string, _now: number): Promise<Entry | undefined> {
    return undefined
  }
  async create(_key: string, value: Uint8Array, deadline: number): Promise<Entry | 'exists'> {
    return { value, deadline, version: 1 }
  }
  async replace(): Promise<Entry | 'conflict' | 'gone'> {
    return 'gone'
  }
  async touch(): Promise<'touched' | 'conflict' | 'gone'> {
    return 'gone'
  }
  async delete(): Promise<void> {}
}

export function failures(error: unknown): string {
  if (error instanceof ConfigError) return error.problems.join()
  if (error instanceof SessionTypeError) return error.code
  if (!(error instanceof SessionError)) return 'not ours'
  same<typeof error.code, SessionErrorCode>(true)
  // @ts-expect-error -- no such code
  if (error.code === 'ERR_NONSENSE') return 'never'
  return `${error.status} ${error.statusCode}`
}

/** A new kind of event is a new line for everyone who counts them. */
export function told(event: SessionEvent): string {
  switch (event.type) {
    case 'gone':
    case 'conflict':
    case 'corrupt':
    case 'rejectedCookie':
    case 'duplicateCookie':
    case 'unsaved':
    case 'insecure':
    case 'backendError':
      return `${event.message} ${event.publicId}`
    default:
      return event.type satisfies never
  }
}
