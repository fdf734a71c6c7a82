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
/** What else behaves differently while a response is held. Each version and protocol of Node has some of these only. */
const OTHERS = [
  'setHeader',
  'appendHeader',
  'removeHeader',
  'addTrailers',
  'setTrailer',
  'on',
  // Compression's, for server-sent events.
  'flush',
  // What middleware calls to have the headers written that finds `_header` empty.
  '_implicitHeader',
] as const
type Sender = (typeof SENDERS)[number]
type Name = Sender | (typeof OTHERS)[number]
type Methods = Record<Name, Method>

/**
 * `open`: nothing was sent. `committing`: the application has begun to send. `released`: calls pass. `refused`: what the
 * application sends is thrown away, since something else was sent instead.
 */
type Phase = 'open' | 'committing' | 'released' | 'refused'

interface Hold {
  /** Holds the response from now on, until this commit and those of the other users have settled. */
  use: (commit: Commit) => void
  send: (name: Sender, args: unknown[]) => unknown
  /** What the application is to see while the response is held. */
  seemsSent: () => boolean
  seemsEnded: () => boolean
}

/**
 * One for each response: sessions nested in others share it, so that there is one order of things and one outcome. On the
 * response itself, since a WeakMap of objects that know each other is only emptied by a full garbage collection.
 */
const HOLD: unique symbol = Symbol('vishnu.hold')
type Holdable = NodeResponse & { [HOLD]?: Hold }

/** Shared by all responses: functions made for each would give each a shape of its own, and slow down all that uses it. */
const STAND_INS = Object.fromEntries(
  SENDERS.map((name) => [
    name,
    function (this: { [HOLD]: Hold }, ...args: unknown[]): unknown {
      return this[HOLD].send(name, args)
    },
  ]),
) as Record<Sender, Method>

const ACCESSORS: PropertyDescriptorMap = {
  headersSent: accessor((hold) => hold.seemsSent(), 'headersSent'),
  writableEnded: accessor((hold) => hold.seemsEnded(), 'writableEnded'),
}

function accessor(isTrue: (hold: Hold) => boolean, property: string): PropertyDescriptor {
  const get = function (this: NodeResponse & { [HOLD]: Hold }): unknown {
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
 * @param handBack Where the error goes if the commit fails after the application has ended its response, so that its own
 *   error handler can answer. Without it, and for a stream that is still running, a plain response is sent.
 */
export function prepareHold(response: Holdable, handBack?: (error: unknown) => void): Hold {
  if (response[HOLD]) return response[HOLD]
  const methods = response as unknown as Methods
  const { writeHead, flushHeaders, write, end } = methods
  const original = { writeHead, flushHeaders, write, end } as Methods
  const commits: Commit[] = []
  let held: HeldResponse | undefined
  const hold: Hold = {
    use: (commit) => {
      commits.push(commit)
      if (held) return
      for (const name of OTHERS) original[name] = methods[name]
      held = holdResponse(response, original, commits, handBack)
      for (const name of OTHERS) if (typeof original[name] === 'function') methods[name] = held.patches[name]
    },
    send: (name, args) => (held ? held.patches[name](...args) : original[name].apply(response, args)),
    seemsSent: () => held?.seemsSent() ?? false,
    seemsEnded: () => held?.seemsEnded() ?? false,
  }
  response[HOLD] = hold
  Object.assign(response, STAND_INS)
  return hold
}

interface HeldResponse extends Pick<Hold, 'seemsSent' | 'seemsEnded'> {
  readonly patches: Methods
}

function holdResponse(
  response: NodeResponse,
  original: Methods,
  commits: readonly Commit[],
  handBack?: (error: unknown) => void,
): HeldResponse {
  const call = (name: Name, args: unknown[]): unknown => original[name].apply(response, args)

  let phase: Phase = 'open'
  let hasEnded = false
  let owesDrain = false
  let held: [Name, unknown[]][] = []
  const drainListeners: Method[] = []

  function begin(): void {
    if (phase !== 'open') return
    phase = 'committing'
    const read: ReadHeader = (name) => headerText(response.getHeader(name))
    const outcomes = commits.map((commit) => commit(read))
    const ready = outcomes.filter((outcome): outcome is ResponseHeaders => !(outcome instanceof Promise))
    if (ready.length === outcomes.length) return release(ready)

    Object.defineProperties(response, ACCESSORS)
    // What the application does to the status from now on comes too late, as ever.
    const { statusCode } = response
    const status = isHttp1(response) ? { statusCode, statusMessage: response.statusMessage } : { statusCode }
    Promise.allSettled(outcomes.map(async (outcome) => outcome))
      .then((settled) => {
        const headers = settled.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
        const failure = settled.find((outcome) => outcome.status === 'rejected')
        if (failure) return refuse(failure.reason, headers)
        Object.assign(response, status)
        return release(headers)
      })
      .catch((error: unknown) => response.destroy(asError(error)))
  }

  function release(headers: ResponseHeaders[]): void {
    phase = 'released'
    let outcome: unknown
    try {
      applyAll(headers)
      for (let next = held.shift(); next; next = held.shift()) outcome = call(...next)
    } catch (error) {
      // An impossible status or header: without the hold it would have been thrown at the application's own call.
      refuse(error, headers)
      return
    }
    if (outcome !== false) drain()
  }

  /** @param headers Of the sessions that were stored: the visitor needs their cookies whatever else is sent. */
  function refuse(error: unknown, headers: ResponseHeaders[]): void {
    for (const [, args] of held) discard(args)
    held = []
    if (ofClass(response, 'headersSent')) {
      response.destroy(asError(error))
      return
    }
    phase = 'released'
    for (const name of response.getHeaderNames()) call('removeHeader', [name])
    applyAll(headers)
    const status = statusOf(error)
    response.statusCode = status
    if (isHttp1(response)) response.statusMessage = ''
    if (handBack && hasEnded) {
      hasEnded = false
      handBack(error)
      return
    }
    // An outage is an event already; of anything else this is the only word.
    if (status < 503) process.emitWarning(asError(error))
    call('setHeader', ['content-type', 'text/plain; charset=utf-8'])
    call('setHeader', ['cache-control', 'no-store'])
    call('end', [`${STATUS_CODES[status]}\n`])
    phase = 'refused'
    drain()
  }

  function applyAll(all: ResponseHeaders[]): void {
    // Those with a cookie last: what they say about caching must win.
    for (const { set, append } of all.toSorted((one, other) => one.append.length - other.append.length)) {
      for (const [name, value] of set) call('setHeader', [name, value])
      for (const [name, value] of append) {
        const present = response.getHeader(name)
        call('setHeader', [name, present === undefined ? value : [present, value].flat()])
      }
    }
  }

  /**
   * Lets those go on who were told to wait. Not all of them listen on the response: compression keeps its listeners for a
   * stream of its own, which has seen no congestion and so will not tell of its end.
   */
  function drain(): void {
    if (!owesDrain || hasEnded) return
    process.nextTick(() => {
      const reached = response.rawListeners('drain')
      response.emit('drain')
      for (const listener of drainListeners) if (!reached.includes(listener)) listener.call(response)
    })
  }

  const isReleased = (): boolean => phase === 'released'

  const patches: Methods = {
    writeHead: (...args) => {
      if (phase === 'released') return call('writeHead', args)
      if (phase === 'committing') throw headersSentError('write')
      if (phase === 'refused') return response
      applyHead(response, args)
      begin()
      return isReleased() ? call('writeHead', [response.statusCode]) : response
    },
    flushHeaders: (...args) => {
      begin()
      if (phase === 'released') return call('flushHeaders', args)
      if (phase !== 'refused') held.push(['flushHeaders', args])
      return undefined
    },
    write: (...args) => {
      begin()
      if (phase === 'released') return call('write', args)
      if (phase === 'refused') return discard(args)
      if (hasEnded) return discard(args, writeAfterEndError()) && false
      owesDrain = true
      held.push(['write', args])
      return false
    },
    end: (...args) => {
      begin()
      if (phase === 'released') return call('end', args)
      if (phase === 'refused' || hasEnded) return discard(args) && response
      hasEnded = true
      held.push(['end', args])
      return response
    },
    setHeader: (...args) => changeHeader('setHeader', 'set', args),
    appendHeader: (...args) => changeHeader('appendHeader', 'append', args),
    removeHeader: (...args) => changeHeader('removeHeader', 'remove', args),
    addTrailers: (...args) => queue('addTrailers', args),
    setTrailer: (...args) => queue('setTrailer', args),
    on: (...args) => {
      const [event, listener] = args
      if (event === 'drain' && (phase === 'open' || phase === 'committing')) drainListeners.push(listener as Method)
      return call('on', args)
    },
    flush: (...args) => (phase === 'committing' ? void held.push(['flush', args]) : call('flush', args)),
    _implicitHeader: () => (phase === 'open' || phase === 'released' ? call('_implicitHeader', []) : undefined),
  }

  function changeHeader(name: Name, verb: string, args: unknown[]): unknown {
    if (phase === 'committing') throw headersSentError(verb)
    return phase === 'refused' ? response : call(name, args)
  }

  /** Trailers leave with the body they belong to, or not at all. */
  function queue(name: Name, args: unknown[]): unknown {
    if (phase === 'released') return call(name, args)
    if (phase !== 'refused') held.push([name, args])
    return undefined
  }

  return {
    patches,
    seemsSent: () => phase === 'committing' || phase === 'refused',
    seemsEnded: () => phase === 'committing' && hasEnded,
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
