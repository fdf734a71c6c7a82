import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { ReadHeader, ResponseHeaders } from '../response-headers.js'

/*
 * The one clever file. Node sends headers synchronously, inside of `writeHead`, `flushHeaders`, `write` and `end`, and a
 * commit is asynchronous. So the first of these calls starts the commit, and it and all that follow are kept and made again
 * when the commit has settled. Without this a redirect reaches the browser before the session is stored, and the next
 * page is the one of a visitor who has not logged in.
 *
 * To the application the headers are gone from its first such call on, as ever: `headersSent` is true and changing a
 * header throws. `write` answers false, and `drain` follows. 1xx responses pass. If the commit fails nothing of what the
 * application has prepared is sent.
 *
 * Other middleware patches the same methods, below these (mounted before the session was asked for) and above.
 */

/** A response of `node:http`, `node:https`, or the compatibility interface of `node:http2`. */
export type NodeResponse = ServerResponse | Http2ServerResponse

type Commit = (header: ReadHeader) => ResponseHeaders | Promise<ResponseHeaders>
type Method = (...args: unknown[]) => unknown

/** What sends headers. */
const SENDERS = ['writeHead', 'flushHeaders', 'write', 'end'] as const
/** What has to wait, or to be remembered, from the moment somebody asks for the session. HTTP/1 has no `setTrailer`. */
const WAITERS = ['on', 'addTrailers', 'setTrailer'] as const
/** What behaves differently while a commit is under way. Not every version and protocol of Node has all of these. */
const CHANGERS = [
  'setHeader',
  'appendHeader',
  'removeHeader',
  // Compression's, for server-sent events.
  'flush',
  // What middleware calls to have the headers written that finds `_header` empty.
  '_implicitHeader',
] as const
type Name = (typeof SENDERS | typeof WAITERS | typeof CHANGERS)[number]
type Methods = Record<Name, Method>

/**
 * `unused`: nobody has asked for a session, and calls pass. `open`: somebody has; nothing was sent. `committing`: the
 * application has begun to send. `released`: calls pass. `refused`: what the application sends is thrown away, since
 * something else was sent instead.
 */
type Phase = 'unused' | 'open' | 'committing' | 'released' | 'refused'

/**
 * Where a response keeps its hold. On the response itself, since a WeakMap of objects that know each other is only emptied
 * by a full garbage collection.
 */
const HOLD: unique symbol = Symbol('vishnu.hold')
type Holdable = NodeResponse & { [HOLD]?: Hold }
type Held = NodeResponse & { [HOLD]: Hold }

/*
 * Shared by all responses: functions made for each would cost each request, and give each response a shape of its own,
 * which slows down all that uses it.
 */
const SENDING = standIns(SENDERS)
const WAITING = standIns(WAITERS)
const CHANGING = standIns(CHANGERS)

const ACCESSORS: PropertyDescriptorMap = {
  headersSent: accessor((hold) => hold.seemsSent, 'headersSent'),
  writableEnded: accessor((hold) => hold.seemsEnded, 'writableEnded'),
}

function standIns(names: readonly Name[]): [Name, Method][] {
  return names.map((name) => [
    name,
    function (this: Held, ...args: unknown[]): unknown {
      return this[HOLD][name](args)
    },
  ])
}

function accessor(isTrue: (hold: Hold) => boolean, property: string): PropertyDescriptor {
  const get = function (this: Held): unknown {
    return isTrue(this[HOLD]) || ofClass(this, property)
  }
  return { configurable: true, enumerable: true, get }
}

/** What the response would answer without us. */
function ofClass(response: NodeResponse, property: string): unknown {
  return Reflect.get(Object.getPrototypeOf(response), property, response)
}

/**
 * Prepares a response for being held, and returns what holds it. To be called before the handler: in
 * `response.end(await page())` the method is looked up first, and only then does `page` ask for the session.
 *
 * Sessions nested in others share the hold, so that there is one order of things and one outcome.
 *
 * @param handBack Where the error goes if the commit fails after the application has ended its response, so that its own
 *   error handler can answer. Without it, and for a stream that is still running, a plain response is sent.
 */
export function prepareHold(response: Holdable, handBack?: (error: unknown) => void): Hold {
  return (response[HOLD] ??= new Hold(response, handBack))
}

/** What one response goes through. Its methods of the response's names do what the application's calls of them do. */
export class Hold implements Record<Name, (args: unknown[]) => unknown> {
  readonly #response: NodeResponse
  readonly #handBack: ((error: unknown) => void) | undefined
  /** The methods that the stand-ins took the place of. */
  readonly #original: Partial<Methods> = {}
  readonly #commits: Commit[] = []

  #phase: Phase = 'unused'
  #hasEnded = false
  #owesDrain = false
  #held: [Name, unknown[]][] = []
  #drainListeners: Method[] = []

  constructor(response: NodeResponse, handBack: ((error: unknown) => void) | undefined) {
    this.#response = response
    this.#handBack = handBack
    this.#replace(SENDING)
  }

  /** Holds the response from now on, until this commit and those of the other users have settled. */
  use(commit: Commit): void {
    // Released, and nothing was sent: a commit has failed, and an error handler is about to answer.
    if (this.#phase === 'unused' || this.#phase === 'released') {
      this.#replace(WAITING)
      this.#commits.length = 0
      this.#phase = 'open'
    }
    this.#commits.push(commit)
  }

  get seemsSent(): boolean {
    return this.#phase === 'committing' || this.#phase === 'refused'
  }

  get seemsEnded(): boolean {
    return this.#phase === 'committing' && this.#hasEnded
  }

  writeHead(args: unknown[]): unknown {
    this.#refuseWhileCommitting('write')
    if (this.#phase !== 'open') return this.#passes() ? this.#call('writeHead', args) : this.#response
    applyHead(this.#response, args)
    this.#begin()
    this.#sendOrHold('writeHead', [this.#response.statusCode])
    return this.#response
  }

  flushHeaders(args: unknown[]): unknown {
    this.#begin()
    return this.#sendOrHold('flushHeaders', args)
  }

  write(args: unknown[]): unknown {
    this.#begin()
    if (this.#passes()) return this.#call('write', args)
    if (this.#phase === 'refused') return discard(args)
    if (this.#hasEnded) return discard(args, writeAfterEndError()) && false
    this.#owesDrain = true
    this.#held.push(['write', args])
    return false
  }

  end(args: unknown[]): unknown {
    this.#begin()
    if (this.#passes()) return this.#call('end', args)
    if (this.#phase === 'refused' || this.#hasEnded) return discard(args) && this.#response
    this.#hasEnded = true
    this.#held.push(['end', args])
    return this.#response
  }

  setHeader(args: unknown[]): unknown {
    return this.#changeHeader('setHeader', 'set', args)
  }

  appendHeader(args: unknown[]): unknown {
    return this.#changeHeader('appendHeader', 'append', args)
  }

  removeHeader(args: unknown[]): unknown {
    return this.#changeHeader('removeHeader', 'remove', args)
  }

  /** Trailers leave with the body they belong to, or not at all. */
  addTrailers(args: unknown[]): unknown {
    return this.#sendOrHold('addTrailers', args)
  }

  setTrailer(args: unknown[]): unknown {
    return this.#sendOrHold('setTrailer', args)
  }

  on(args: unknown[]): unknown {
    const [event, listener] = args
    const isHeld = this.#phase === 'open' || this.#phase === 'committing'
    if (event === 'drain' && isHeld) this.#drainListeners.push(listener as Method)
    return this.#call('on', args)
  }

  flush(args: unknown[]): unknown {
    return this.#phase === 'committing' ? void this.#held.push(['flush', args]) : this.#call('flush', args)
  }

  _implicitHeader(): unknown {
    return this.seemsSent ? undefined : this.#call('_implicitHeader', [])
  }

  #begin(): void {
    if (this.#phase !== 'open') return
    this.#phase = 'committing'
    const response = this.#response
    const read: ReadHeader = (name) => headerText(response.getHeader(name))
    const outcomes = this.#commits.map((commit) => commit(read))
    const ready = outcomes.filter((outcome): outcome is ResponseHeaders => !(outcome instanceof Promise))
    if (ready.length === outcomes.length) return this.#release(ready)

    this.#replace(CHANGING)
    Object.defineProperties(response, ACCESSORS)
    // What the application does to the status from now on comes too late, as ever.
    const { statusCode } = response
    const status = isHttp1(response) ? { statusCode, statusMessage: response.statusMessage } : { statusCode }
    Promise.allSettled(outcomes.map(async (outcome) => outcome))
      .then((settled) => {
        const headers = settled.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
        const failure = settled.find((outcome) => outcome.status === 'rejected')
        if (failure) return this.#refuse(failure.reason, headers)
        Object.assign(response, status)
        return this.#release(headers)
      })
      .catch((error: unknown) => response.destroy(asError(error)))
  }

  #release(headers: ResponseHeaders[]): void {
    this.#phase = 'released'
    let outcome: unknown
    try {
      this.#applyAll(headers)
      for (let next = this.#held.shift(); next; next = this.#held.shift()) outcome = this.#call(...next)
    } catch (error) {
      // An impossible status or header: without the hold it would have been thrown at the application's own call.
      this.#refuse(error, headers)
      return
    }
    if (outcome !== false) this.#drain()
  }

  /** @param headers Of the sessions that were stored: the visitor needs their cookies whatever else is sent. */
  #refuse(error: unknown, headers: ResponseHeaders[]): void {
    const response = this.#response
    for (const [, args] of this.#held) discard(args)
    this.#held = []
    if (ofClass(response, 'headersSent')) {
      response.destroy(asError(error))
      return
    }
    this.#phase = 'released'
    for (const name of response.getHeaderNames()) this.#call('removeHeader', [name])
    this.#applyAll(headers)
    const status = statusOf(error)
    response.statusCode = status
    if (isHttp1(response)) response.statusMessage = ''
    if (this.#handBack && this.#hasEnded) {
      this.#hasEnded = false
      this.#handBack(error)
      return
    }
    // An outage is an event already; of anything else this is the only word.
    if (status < 503) process.emitWarning(asError(error))
    this.#call('setHeader', ['content-type', 'text/plain; charset=utf-8'])
    this.#call('setHeader', ['cache-control', 'no-store'])
    this.#call('end', [`${STATUS_CODES[status]}\n`])
    this.#phase = 'refused'
    this.#drain()
  }

  #applyAll(all: ResponseHeaders[]): void {
    // Those with a cookie last: what they say about caching must win.
    for (const { set, append } of all.toSorted((one, other) => one.append.length - other.append.length)) {
      for (const [name, value] of set) this.#call('setHeader', [name, value])
      for (const [name, value] of append) {
        const present = this.#response.getHeader(name)
        this.#call('setHeader', [name, present === undefined ? value : [present, value].flat()])
      }
    }
  }

  /**
   * Lets those go on who were told to wait. Not all of them listen on the response: compression keeps its listeners for a
   * stream of its own, which has seen no congestion and so will not tell of its end.
   */
  #drain(): void {
    if (!this.#owesDrain || this.#hasEnded) return
    process.nextTick(() => {
      const reached = this.#response.rawListeners('drain')
      this.#response.emit('drain')
      for (const listener of this.#drainListeners) if (!reached.includes(listener)) listener.call(this.#response)
    })
  }

  #replace(replacements: readonly [Name, Method][]): void {
    const methods = this.#response as unknown as Methods
    for (const [name, standIn] of replacements) {
      if (typeof methods[name] !== 'function' || this.#original[name]) continue
      this.#original[name] = methods[name]
      methods[name] = standIn
    }
  }

  /** What the response does by itself, or what other middleware has made of it before us. */
  #call(name: Name, args: unknown[]): unknown {
    const method = this.#original[name] ?? (this.#response as unknown as Methods)[name]
    return method.apply(this.#response, args)
  }

  #passes(): boolean {
    return this.#phase === 'unused' || this.#phase === 'released'
  }

  #sendOrHold(name: Name, args: unknown[]): unknown {
    if (this.#passes()) return this.#call(name, args)
    if (this.#phase !== 'refused') this.#held.push([name, args])
    return undefined
  }

  #changeHeader(name: Name, verb: string, args: unknown[]): unknown {
    this.#refuseWhileCommitting(verb)
    return this.#phase === 'refused' ? this.#response : this.#call(name, args)
  }

  #refuseWhileCommitting(verb: string): void {
    if (this.#phase === 'committing') throw headersSentError(verb)
  }
}

/** `writeHead(status[, message][, headers])`, headers as an object or as a list of names and values. */
function applyHead(response: NodeResponse, [status, message, headers]: unknown[]): void {
  response.statusCode = status as number
  if (typeof message === 'string') response.statusMessage = message
  else headers ??= message
  const pairs = Array.isArray(headers) ? pairsOf(headers) : Object.entries(headers ?? {})
  const values = new Map<string, [name: string, value: unknown]>()
  for (const [name, value] of pairs) {
    const [, present] = values.get(name.toLowerCase()) ?? []
    values.set(name.toLowerCase(), [name, present === undefined ? value : [present, value].flat()])
  }
  for (const [name, value] of values.values()) response.setHeader(name, value as string)
}

function pairsOf(list: readonly unknown[]): [string, unknown][] {
  if (Array.isArray(list[0])) return list as [string, unknown][]
  return list.flatMap((name, index) => (index % 2 === 0 ? [[name as string, list[index + 1]]] : []))
}

function headerText(value: number | string | readonly string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value?.toString()
}

/** A callback must still come, or a pipeline would wait for ever. */
function discard(args: unknown[], error?: Error): true {
  const callback = args.at(-1)
  if (typeof callback === 'function') process.nextTick(callback, error)
  return true
}

/** The compatibility interface of HTTP/2 has no status messages, and warns of each. */
function isHttp1(response: NodeResponse): response is ServerResponse {
  return 'assignSocket' in response
}

function statusOf(error: unknown): number {
  const status: unknown = (error as { status?: unknown } | null | undefined)?.status
  return typeof status === 'number' && status >= 400 && status < 600 ? status : 500
}

/** Without an error HTTP/2 would end a stream as if all were well. */
function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('The response could not be sent', { cause: error })
}

function headersSentError(verb: string): Error {
  const error = new Error(`Cannot ${verb} headers after they are sent to the client`)
  return Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' })
}

function writeAfterEndError(): Error {
  return Object.assign(new Error('write after end'), { code: 'ERR_STREAM_WRITE_AFTER_END' })
}
