import type { Order } from './history-order.js'
import type { Plan } from './history-plan.js'
import type { Incarnation, Recorder } from './history-record.js'

/** As much of a session as a history uses. */
export interface TestedSession {
  get(key: string): unknown
  set(key: string, value: unknown): void
  delete(key: string): unknown
  clear(): void
  entries(): readonly (readonly [string, unknown])[]
  update(key: string, change: (current: unknown) => unknown): Promise<unknown>
  save(): Promise<void>
  terminate(): Promise<void>
  regenerate(options?: { authenticated?: boolean }): void
  timeout: number
  readonly started: boolean
  readonly publicId: string
}

/** As much of a `Sessions` as a history uses: what an adapter does. */
export interface TestedSessions {
  open(cookieHeader: string | undefined): { session(): Promise<TestedSession> }
  commit(visit: object, header: (name: string) => undefined): CommitHeaders | Promise<CommitHeaders>
}

export interface CommitHeaders {
  readonly append: readonly (readonly [name: string, value: string])[]
}

export interface TestedServer {
  readonly sessions: TestedSessions
  readonly autoSave: boolean
}

export interface KnownCookie {
  readonly number: number
  /** As in the Cookie header. */
  readonly text: string
  /** Undefined for a cookie whose seal is genuine and whose id nobody has issued here. */
  readonly incarnation: Incarnation | undefined
}

/** One browser. Its requests share its cookie. */
export interface Visitor {
  newest: KnownCookie | undefined
  readonly all: KnownCookie[]
}

export interface World {
  readonly recorder: Recorder
  readonly order: Order
  readonly servers: readonly TestedServer[]
  /** Whether a session has another public id under each of its ids, and a log-out reaches only the one that it holds. */
  readonly isPlain: boolean
  readonly cookies: Map<string, KnownCookie>
  readonly unknownCookie: () => Promise<string>
  readonly now: () => number
  /** Seconds that a session lasts unless it is given another timeout. */
  readonly timeout: number
  /** Whether the backend is being broken, so that a request may fail. */
  readonly mayFail: boolean
  /** How often each verb ended how. */
  readonly outcomes: Map<string, number>
  requests: number
}

/** The cookie that a request brings. */
export async function chooseCookie(
  world: World,
  visitor: Visitor,
  { cookie, random }: Plan,
): Promise<KnownCookie | undefined> {
  if (cookie === 'newest') return visitor.newest
  if (cookie === 'unknown') return rememberCookie(world, visitor, await world.unknownCookie(), undefined)
  return visitor.all[random.below(visitor.all.length)]
}

/** Takes note of a cookie that a visitor got. */
export function rememberCookie(
  { cookies }: World,
  visitor: Visitor,
  text: string,
  incarnation: Incarnation | undefined,
): KnownCookie {
  const cookie = cookies.get(text) ?? { number: cookies.size + 1, text, incarnation }
  if (!cookies.has(text)) visitor.all.push(cookie)
  cookies.set(text, cookie)
  return cookie
}
