import { Buffer } from 'node:buffer'
import { MemcachedError } from './errors.js'

/*
 * The meta commands of memcached 1.6.10 and later (its doc/protocol.txt, "Meta Commands"): a request is
 * `<verb> <key> [<value length>] <flags>\r\n`, a reply `<status> [<value length>] <flags>\r\n`, each with the value and
 * `\r\n` after it where there is one.
 */

export interface Command {
  verb: 'mg' | 'ms' | 'md'
  key: string
  /** Starts with `c` if the answer has to name the item's version. */
  flags: string
  value?: Uint8Array
  /** The statuses that answer it, the successful one first. */
  outcomes: readonly string[]
}

export interface Reply {
  /** As it came. It holds no value, but may hold anything if the server is no memcached. */
  line: string
  status: string
  opaque?: string
  cas?: string
  value?: Uint8Array
}

const MAX_KEY_BYTES = 250
const KEY = /^[\x21-\x7e]+$/
const CAS = /^[1-9]\d{0,19}$/
/** Longer than any line that memcached answers these commands with. */
const MAX_LINE_BYTES = 2048
/** What `-I` of memcached can be raised to. */
const MAX_VALUE_BYTES = 1024 * 1024 * 1024
const CRLF = Buffer.from('\r\n')

/**
 * Anything else in a key is a way to send commands of one's own: the protocol is made of lines and spaces.
 *
 * @throws `KEY` unless the key has 1 to 250 characters from `!` to `~`.
 */
export function assertKey(key: string): void {
  if (typeof key === 'string' && key.length <= MAX_KEY_BYTES && KEY.test(key)) return
  throw new MemcachedError('KEY', `A key must have 1 to ${MAX_KEY_BYTES} printable ASCII characters and no space`)
}

export function isCas(text: unknown): text is string {
  return typeof text === 'string' && CAS.test(text)
}

/** The bytes to send. They hold a copy of the value, which is the caller's to change from now on. */
export function encodeCommand({ verb, key, flags, value }: Command, opaque: string): Buffer {
  const head = `${verb} ${key} ${value === undefined ? '' : `${value.length} `}${flags} O${opaque}\r\n`
  const bytes = Buffer.from(head, 'latin1')
  return value === undefined ? bytes : Buffer.concat([bytes, value, CRLF])
}

/** What is wrong with a reply to this command. The opaque tells replies apart that were swapped. */
export function problemOf(reply: Reply, command: Command, opaque: string): string | undefined {
  if (reply.opaque !== opaque || !command.outcomes.includes(reply.status))
    return 'sent a reply that does not belong to the command'
  const needsCas = command.flags.startsWith('c') && reply.status === command.outcomes[0]
  return needsCas && reply.cas === undefined ? 'names no versions: was it started with -C?' : undefined
}

/** Takes the server's bytes in pieces of any size. */
export class ReplyParser {
  #pieces: Buffer[] = []
  #length = 0
  /** With fewer bytes than this there is no reply to be found: spares looking at a long value with every piece of it. */
  #needed = 1

  /** Hands over the replies that this piece completes; their values are views of it. Throws at what is no reply. */
  read(piece: Buffer, handle: (reply: Reply) => void): void {
    this.#pieces.push(piece)
    this.#length += piece.length
    if (this.#length < this.#needed) return
    const bytes = this.#pieces.length === 1 ? piece : Buffer.concat(this.#pieces)
    let start = 0
    while (start < bytes.length) {
      const lineEnd = bytes.indexOf('\n', start)
      const lineBytes = (lineEnd < 0 ? bytes.length : lineEnd) - start
      if (lineBytes > MAX_LINE_BYTES) throw violation('a line without an end')
      if (lineEnd < 0) break
      if (bytes[lineEnd - 1] !== CRLF[0]) throw violation('a line that does not end with CRLF')
      const reply = parseLine(bytes.toString('latin1', start, lineEnd - 1))
      let end = lineEnd + 1
      if (reply.status === 'VA') {
        const valueEnd = end + reply.valueLength
        this.#needed = valueEnd + CRLF.length - start
        if (bytes.length - start < this.#needed) break
        if (bytes[valueEnd] !== CRLF[0] || bytes[valueEnd + 1] !== CRLF[1]) throw violation('a value without an end')
        reply.value = bytes.subarray(end, valueEnd)
        end = valueEnd + CRLF.length
      }
      this.#needed = 1
      start = end
      handle(reply)
    }
    this.#pieces = start < bytes.length ? [bytes.subarray(start)] : []
    this.#length = bytes.length - start
  }
}

function parseLine(line: string): Reply & { valueLength: number } {
  const fields = line.split(' ')
  const [status = ''] = fields
  const reply: Reply & { valueLength: number } = { line, status, valueLength: 0 }
  // Only the two-letter statuses have flags: other lines are words.
  if (status.length !== 2) return reply
  if (status === 'VA') {
    const length = fields[1] ?? ''
    reply.valueLength = Number(length)
    if (!/^\d{1,10}$/.test(length) || reply.valueLength > MAX_VALUE_BYTES) throw violation('a value without a length')
  }
  for (const field of fields.slice(1)) {
    const argument = field.slice(1)
    if (field.startsWith('O')) reply.opaque = argument
    // A server that was started with -C names every version 0.
    else if (field.startsWith('c') && isCas(argument)) reply.cas = argument
  }
  return reply
}

function violation(what: string): MemcachedError {
  return new MemcachedError('PROTOCOL', `sent ${what}`)
}
