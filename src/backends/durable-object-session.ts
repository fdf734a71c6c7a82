/** What is used of the state that the platform hands to an object (`DurableObjectState` of Cloudflare's types). */
export interface SessionObjectState {
  readonly storage: {
    readonly kv: { get(key: string): unknown; put(key: string, value: unknown): void }
    setAlarm(time: number): Promise<void>
    deleteAlarm(): Promise<void>
    deleteAll(): Promise<void>
  }
}

/** An operation of the backend; the value travels beside it. */
export type SessionMessage = { operation: 'read'; now: number } | { operation: 'delete' } | SessionWrite

interface SessionWrite {
  operation: 'create' | 'replace' | 'touch'
  /** The version that must be there; null: none may be. */
  expected: string | null
  /** The new one; a touch has none. */
  version?: string
  deadline: number
  now: number
}

export type SessionOutcome = 'done' | 'conflict' | 'gone'

interface Kept {
  readonly value: Uint8Array
  readonly version: string
  readonly deadline: number
  /** When the object removes itself, by its own clock. */
  readonly until: number
}

/** How long an expired session is kept: this machine's clock need not agree with the worker's, which decides. */
const SLACK_MS = 60_000
const KEPT = 'session'

/**
 * The Durable Object that holds one session for `durableObject()`. Export it from the worker, and declare it as a class
 * with SQLite storage (`new_sqlite_classes`).
 */
export class SessionObject {
  readonly #storage: SessionObjectState['storage']

  constructor(state: SessionObjectState) {
    this.#storage = state.storage
  }

  async fetch(request: Request): Promise<Response> {
    const message = JSON.parse(decodeURIComponent(new URL(request.url).search.slice(1))) as SessionMessage
    const value = new Uint8Array(await request.arrayBuffer())
    if (message.operation === 'delete') {
      await this.#storage.deleteAlarm()
      await this.#storage.deleteAll()
      return new Response('done')
    }
    const kept = this.#kept
    const live = kept && kept.deadline > message.now ? kept : undefined
    if (message.operation !== 'read') return new Response(await this.#write(message, value, live))
    if (!live) return new Response()
    return new Response(live.value, { headers: { version: live.version, deadline: String(live.deadline) } })
  }

  /** Called by the platform when the session has expired for long enough. */
  async alarm(): Promise<void> {
    const kept = this.#kept
    if (kept && kept.until > Date.now()) await this.#storage.setAlarm(kept.until)
    else await this.#storage.deleteAll()
  }

  /** Nothing is awaited between the look at `live` and the write, so that no other request comes between them. */
  async #write(message: SessionWrite, value: Uint8Array, live: Kept | undefined): Promise<SessionOutcome> {
    const { operation, expected, version, deadline, now } = message
    if ((live?.version ?? null) !== expected) return live ? 'conflict' : 'gone'
    const next = operation === 'touch' ? live : { value, version }
    const until = Date.now() + deadline - now + SLACK_MS
    this.#storage.kv.put(KEPT, { ...next, deadline, until })
    // Both are stored together, and the answer leaves only when they are.
    await this.#storage.setAlarm(until)
    return 'done'
  }

  get #kept(): Kept | undefined {
    return this.#storage.kv.get(KEPT) as Kept | undefined
  }
}
