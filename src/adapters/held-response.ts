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
 */

/** A response of `node:http`, `node:https`, or the compatibility interface of `node:http2`. */
export type NodeResponse = ServerResponse | Http2ServerResponse

type Commit = (header: ReadHeader) => Promise<ResponseHeaders>
type Method = (...args: unknown[]) => unknown
type Methods = Record<
  'writeHead' | 'flushHeaders' | 'write' | 'end' | 'setHeader' | 'appendHeader' | 'removeHeader',
  Method
>

/**
 * `open`: nothing was sent. `committing`: the application has begun to send. `released`: calls pass. `refused`: what the
 * application sends is thrown away, since something else was sent instead.
 */
type Phase = 'open' | 'committing' | 'released' | 'refused'

/**
 * @param handBack Where the error goes if the commit fails after the application has ended its response, so that its own
 *   error handler can answer. Without it, and for a stream that is still running, a plain response is sent.
 */
export function holdResponse(response: NodeResponse, commit: Commit, handBack?: (error: unknown) => void): void {
  const methods = response as unknown as Methods
  const original: Methods = { ...pick(methods) }
  const call = (name: keyof Methods, args: unknown[]): unknown => original[name].apply(response, args)

  let phase: Phase = 'open'
  let hasEnded = false
  let owesDrain = false
  let held: (() => unknown)[] = []

  function hold(replay: () => unknown): void {
    held.push(replay)
    if (phase !== 'open') return
    phase = 'committing'
    commit((name) => headerText(response.getHeader(name))).then(release, refuse)
  }

  function release(headers: ResponseHeaders): void {
    phase = 'released'
    try {
      for (const [name, value] of headers.set) call('setHeader', [name, value])
      for (const [name, value] of headers.append) {
        const present = response.getHeader(name)
        call('setHeader', [name, present === undefined ? value : [present, value].flat()])
      }
      const outcomes = held.map((replay) => replay())
      if (owesDrain && !hasEnded && outcomes.at(-1) !== false) response.emit('drain')
    } catch (error) {
      // An impossible status or header: without the hold it would have been thrown at the application's own call.
      refuse(error)
    }
  }

  function refuse(error: unknown): void {
    held = []
    if (Reflect.get(Object.getPrototypeOf(response), 'headersSent', response)) {
      response.destroy()
      return
    }
    phase = 'released'
    for (const name of response.getHeaderNames()) call('removeHeader', [name])
    const status = statusOf(error)
    response.statusCode = status
    if ('assignSocket' in response) response.statusMessage = STATUS_CODES[status] ?? ''
    if (handBack && hasEnded) {
      hasEnded = false
      handBack(error)
      return
    }
    call('setHeader', ['content-type', 'text/plain; charset=utf-8'])
    call('setHeader', ['cache-control', 'no-store'])
    call('end', [`${STATUS_CODES[status]}\n`])
    phase = 'refused'
  }

  methods.writeHead = (...args) => {
    if (phase === 'released') return call('writeHead', args)
    if (phase === 'committing') throw headersSentError('write')
    if (phase === 'open') {
      applyHead(response, args)
      hold(() => undefined)
    }
    return response
  }
  methods.flushHeaders = (...args) => {
    if (phase === 'released') return call('flushHeaders', args)
    if (phase !== 'refused') hold(() => call('flushHeaders', args))
    return undefined
  }
  methods.write = (...args) => {
    if (phase === 'released') return call('write', args)
    if (phase === 'refused') return discard(args)
    owesDrain = true
    hold(() => call('write', args))
    return false
  }
  methods.end = (...args) => {
    if (phase === 'released') return call('end', args)
    if (phase === 'refused') return discard(args) && response
    hasEnded = true
    hold(() => call('end', args))
    return response
  }
  for (const name of ['setHeader', 'appendHeader', 'removeHeader'] as const) {
    // The compatibility interface of HTTP/2 has no appendHeader on every Node.
    if (typeof original[name] !== 'function') continue
    methods[name] = (...args) => {
      if (phase === 'committing') throw headersSentError(name === 'removeHeader' ? 'remove' : 'set')
      return phase === 'refused' ? response : call(name, args)
    }
  }
  override(response, 'headersSent', () => phase === 'committing' || phase === 'refused')
  override(response, 'writableEnded', () => hasEnded || phase === 'refused')
}

function pick({ writeHead, flushHeaders, write, end, setHeader, appendHeader, removeHeader }: Methods): Methods {
  return { writeHead, flushHeaders, write, end, setHeader, appendHeader, removeHeader }
}

/** Answers true where `isTrue`, else what the class would answer. */
function override(response: NodeResponse, property: string, isTrue: () => boolean): void {
  const get = (): unknown => isTrue() || Reflect.get(Object.getPrototypeOf(response), property, response)
  Object.defineProperty(response, property, { configurable: true, enumerable: true, get })
}

/** `writeHead(status[, message][, headers])`, headers as an object or as a flat list of names and values. */
function applyHead(response: NodeResponse, [status, ...rest]: unknown[]): void {
  response.statusCode = status as number
  if (typeof rest[0] === 'string') response.statusMessage = rest.shift() as string
  const [headers = {}] = rest
  const pairs = Array.isArray(headers) ? pairsOf(headers) : Object.entries(headers as object)
  const values = new Map<string, unknown>()
  for (const [name, value] of pairs) {
    const present = values.get(name)
    values.set(name, present === undefined ? value : [present, value].flat())
  }
  for (const [name, value] of values) response.setHeader(name, value as string)
}

function pairsOf(list: readonly unknown[]): [string, unknown][] {
  if (Array.isArray(list[0])) return list as [string, unknown][]
  return list.flatMap((name, index) => (index % 2 === 0 ? [[name as string, list[index + 1]]] : []))
}

function headerText(value: number | string | readonly string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value?.toString()
}

/** A callback must still come, or a pipeline would wait for ever. */
function discard(args: unknown[]): true {
  const callback = args.at(-1)
  if (typeof callback === 'function') process.nextTick(callback)
  return true
}

function statusOf(error: unknown): number {
  const status: unknown = (error as { status?: unknown } | null | undefined)?.status
  return typeof status === 'number' && status >= 400 && status < 600 ? status : 500
}

function headersSentError(verb: 'set' | 'write' | 'remove'): Error {
  const error = new Error(`Cannot ${verb} headers after they are sent to the client`)
  return Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' })
}
