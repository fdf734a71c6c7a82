import { Buffer } from 'node:buffer'
import { Agent, request, type IncomingMessage } from 'node:http'
import { clearTimeout, setTimeout } from 'node:timers'
import { field, Message } from './app-engine-memcache-protobuf.js'
import { currentTicket } from './app-engine-memcache-ticket.js'

/** Where App Engine's API server is, and how long a call may take. */
export interface RpcTarget {
  readonly host: string
  readonly port: number
  /** Milliseconds. */
  readonly timeout: number
}

/** More than the longest reply: a value of 1 MiB, and what is around it. */
const LONGEST_REPLY = 2 * 1024 * 1024

/** As many as Google's own clients open. */
const MAX_CONNECTIONS = 100

/** Of `apphosting.ext.remote_api`: what a request and a response are wrapped in. */
const REQUEST = { service: 2, method: 3, request: 4, ticket: 5 }
const RESPONSE = { response: 1, exception: 2, applicationError: 3, javaException: 4, rpcError: 5 }
const RPC_ERRORS = [
  'UNKNOWN',
  'CALL_NOT_FOUND',
  'PARSE_ERROR',
  'SECURITY_VIOLATION',
  'OVER_QUOTA',
  'REQUEST_TOO_LARGE',
  'CAPABILITY_DISABLED',
  'FEATURE_DISABLED',
  'BAD_REQUEST',
  'RESPONSE_TOO_LARGE',
  'CANCELLED',
  'REPLAY_ERROR',
  'DEADLINE_EXCEEDED',
]
const APPLICATION_ERRORS: Readonly<Record<number, string>> = {
  1: 'UNSPECIFIED_ERROR',
  2: 'NAMESPACE_NOT_SET',
  3: 'PERMISSION_DENIED',
  6: 'INVALID_VALUE',
  9: 'UNAVAILABLE',
}

/**
 * Calls of App Engine's memcache service, each with the ticket of the request that is being handled. Whatever is not an
 * answer rejects, and may have been done. What the server says of an error is not passed on: it could quote the key,
 * which in the plain layout is the session's id.
 */
export class AppEngineRpc {
  readonly #target: RpcTarget
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS })

  constructor(target: RpcTarget) {
    this.#target = target
  }

  async call(method: string, body: Uint8Array): Promise<Message> {
    const { ticket, trace } = currentTicket()
    const envelope = Buffer.concat([
      field.bytes(REQUEST.service, 'memcache'),
      field.bytes(REQUEST.method, method),
      field.bytes(REQUEST.request, body),
      field.bytes(REQUEST.ticket, ticket),
    ])
    try {
      return unwrap(await this.#post(envelope, trace))
    } catch (cause) {
      throw new Error(`App Engine memcache: ${method} failed: ${(cause as Error).message}`, { cause })
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #post(body: Buffer, trace: Readonly<Record<string, string>>): Promise<Buffer> {
    const { host, port, timeout } = this.#target
    const headers = {
      ...trace,
      'x-google-rpc-service-endpoint': 'app-engine-apis',
      'x-google-rpc-service-method': '/VMRemoteAPI.CallRemoteAPI',
      'x-google-rpc-service-deadline': String(timeout / 1000),
      'content-type': 'application/octet-stream',
      'content-length': body.length,
    }
    return new Promise((resolve, reject) => {
      const call = request({ host, port, method: 'POST', path: '/rpc_http', headers, agent: this.#agent })
      const late = (): void => {
        reject(new Error(`no answer within ${timeout} ms`))
        call.destroy()
      }
      const timer = setTimeout(late, timeout)
      call.on('error', reject)
      call.on('close', () => clearTimeout(timer))
      call.on('response', (response) => {
        readBody(response).then(resolve, reject)
      })
      call.end(body)
    })
  }
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of response as AsyncIterable<Buffer>) {
    pieces.push(piece)
    length += piece.length
    if (length > LONGEST_REPLY) throw new RangeError('the answer is too long')
  }
  if (response.statusCode !== 200) throw new Error(`the API server answered with status ${response.statusCode}`)
  return Buffer.concat(pieces)
}

function unwrap(bytes: Buffer): Message {
  const response = Message.parse(bytes)
  const rpcError = response.bytes(RESPONSE.rpcError)
  if (rpcError) throw new Error(`rpc_error ${nameOf(rpcError, RPC_ERRORS)}`)
  const applicationError = response.bytes(RESPONSE.applicationError)
  if (applicationError) throw new Error(`application_error ${nameOf(applicationError, APPLICATION_ERRORS)}`)
  if (response.has(RESPONSE.exception) || response.has(RESPONSE.javaException)) {
    throw new Error('the API server has thrown an exception')
  }
  const inner = response.bytes(RESPONSE.response)
  if (!inner) throw new Error('the answer is empty')
  return Message.parse(inner)
}

function nameOf(error: Buffer, names: Readonly<Record<number, string>>): string {
  const code = Message.parse(error).number(1) ?? 0
  return `${code} ${names[code] ?? ''}`.trim()
}
