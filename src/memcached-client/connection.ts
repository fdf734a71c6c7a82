import { Buffer } from 'node:buffer'
import { randomInt } from 'node:crypto'
import { connect as connectTcp, type Socket } from 'node:net'
import { performance } from 'node:perf_hooks'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { MemcachedError, type MemcachedErrorCode, type MemcachedErrorOptions } from './errors.js'
import { encodeCommand, problemOf, ReplyParser, type Command, type Reply } from './meta-protocol.js'

export interface ConnectionSettings {
  host: string
  port: number
  /** Milliseconds. */
  timeout: number
  tls?: ConnectionOptions
  login?: { username: string; password: string }
}

interface Pending {
  command: Command
  opaque: string
  deadline: number
  resolve: (reply: Reply) => void
  reject: (error: MemcachedError) => void
}

/** Meta commands have had their present form since 1.6.10. */
const OLDEST_VERSION = [1, 6, 10]
const ERROR_LINE = /^(SERVER_|CLIENT_)?ERROR\b/
/** Finds connections that a firewall has forgotten. */
const KEEP_ALIVE_MS = 60_000

/**
 * One socket's life, from its connecting to its first failure. Replies come in the order of the commands. So a command
 * that is not answered in time, or wrongly, ends the connection: a late reply would be taken for the next command's.
 *
 * Only a pending command keeps the process alive.
 */
export class Connection {
  /** Whether a command was answered: if not, the next attempt had better wait. */
  hasAnswered = false
  readonly #settings: ConnectionSettings
  readonly #onEnd: () => void
  readonly #socket: Socket
  readonly #closed: Promise<void>
  readonly #parser = new ReplyParser()
  readonly #pending: Pending[] = []
  readonly #unsent: Buffer[] = []
  /** What the server has yet to answer before it is sent commands. */
  readonly #greetings: ((line: string) => void)[] = []
  #isReady = false
  #isClosing = false
  #isOver = false
  // Starts anywhere, so that a reply to another client's command can be told, too.
  #nextOpaque = randomInt(2 ** 32)
  #timer: NodeJS.Timeout | undefined

  constructor(settings: ConnectionSettings, onEnd: () => void) {
    this.#settings = settings
    this.#onEnd = onEnd
    const { host, port, tls } = settings
    const address = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }
    const socket = tls === undefined ? connectTcp(address) : connectTls({ ...address, ...tls })
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => this.#greet())
    socket.on('data', (piece) => this.#read(piece))
    socket.on('error', (error) => this.#fail('UNAVAILABLE', describe(error), { cause: error }))
    socket.on('end', () => this.#fail('UNAVAILABLE', 'closed the connection'))
    this.#closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#fail('UNAVAILABLE', 'closed the connection')
        resolve()
      })
    })
    this.#socket = socket
  }

  send(command: Command): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const opaque = (this.#nextOpaque++).toString(36)
      const deadline = performance.now() + this.#settings.timeout
      if (this.#pending.length === 0) this.#socket.ref()
      this.#pending.push({ command, opaque, deadline, resolve, reject })
      // Encoded now, with the value as it is now.
      const bytes = encodeCommand(command, opaque)
      if (this.#isReady) this.#write(bytes)
      else this.#unsent.push(bytes)
      if (this.#timer === undefined) this.#startTimer(this.#settings.timeout)
    })
  }

  /** Waits for the answers to what was sent. */
  close(): Promise<void> {
    this.#isClosing = true
    this.#rest()
    return this.#closed
  }

  /** All commands of one tick leave together. */
  #write(bytes: Buffer): void {
    const socket = this.#socket
    if (socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(() => socket.uncork())
    }
    socket.write(bytes)
  }

  /**
   * Nothing is sent to what has not shown that it understands meta commands: an older server takes the lines of a value
   * for commands.
   */
  #greet(): void {
    const { login } = this.#settings
    if (login !== undefined) {
      const words = Buffer.from(`${login.username} ${login.password}`)
      // -1: a server that does not ask for a password would keep it as an item.
      this.#socket.write(`set login 0 -1 ${words.length}\r\n`)
      this.#socket.write(words)
      this.#socket.write('\r\n')
      this.#greetings.push((line) => {
        // Only memcached's own words: what is no memcached, or answers somebody else, may send anything.
        const reason = ERROR_LINE.test(line) ? quote(line) : 'it answered something else'
        if (line !== 'STORED') this.#fail('AUTH', `refused the user name and password: ${reason}`)
      })
    }
    this.#socket.write('version\r\n')
    this.#greetings.push((line) => {
      const version = /^VERSION (\d+)\.(\d+)\.(\d+)/.exec(line)?.slice(1).map(Number)
      if (line === 'CLIENT_ERROR unauthenticated') this.#fail('AUTH', 'wants a user name and a password')
      else if (ERROR_LINE.test(line)) this.#fail('SERVER', `answered ${quote(line)}`)
      else if (version === undefined) this.#fail('PROTOCOL', 'does not tell its version as a memcached does')
      else if (isOlder(version, OLDEST_VERSION))
        this.#fail('SERVER', `is version ${version.join('.')}, and ${OLDEST_VERSION.join('.')} is needed`)
      else this.#begin()
    })
  }

  #begin(): void {
    this.#isReady = true
    for (const bytes of this.#unsent.splice(0)) this.#write(bytes)
  }

  #read(piece: Buffer): void {
    try {
      this.#parser.read(piece, (reply) => this.#accept(reply))
    } catch (error) {
      if (!(error instanceof MemcachedError)) throw error
      this.#fail(error.code, error.message)
    }
  }

  #accept(reply: Reply): void {
    if (this.#isOver) return
    const greeting = this.#greetings.shift()
    if (greeting !== undefined) return greeting(reply.line)
    const [head] = this.#pending
    if (head === undefined) return this.#fail('PROTOCOL', 'answered without being asked')

    if (reply.status === 'SERVER_ERROR') {
      const code = reply.line.includes('too large') ? 'TOO_LARGE' : 'SERVER'
      head.reject(this.#error(code, `answered ${quote(reply.line)}`, { outcomeUnknown: true }))
    } else if (reply.status === 'ERROR' || reply.status === 'CLIENT_ERROR') {
      // It may go on to take a value for commands, and answer those.
      return this.#fail('SERVER', `answered ${quote(reply.line)}`)
    } else {
      const problem = problemOf(reply, head.command, head.opaque)
      if (problem !== undefined) return this.#fail('PROTOCOL', problem)
      head.resolve(reply)
    }
    this.hasAnswered = true
    this.#pending.shift()
    this.#rest()
  }

  /** With nothing pending, the process may end, and a closing connection does. */
  #rest(): void {
    if (this.#pending.length > 0) return
    this.#socket.unref()
    if (this.#isClosing) this.#fail('CLOSED', 'was left')
  }

  /** One timer for all: the commands' deadlines are in the order of the commands. */
  #startTimer(delay: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      const [head] = this.#pending
      if (head === undefined) return
      const remaining = head.deadline - performance.now()
      if (remaining > 0) return this.#startTimer(remaining)
      // The process may have been busy for longer than the server. What has arrived meanwhile is read before this runs.
      setImmediate(() => {
        if (this.#pending[0] === head) this.#fail('TIMEOUT', `did not answer within ${this.#settings.timeout} ms`)
        else if (this.#timer === undefined) this.#startTimer(0)
      })
    }, delay)
    // While a command is pending, the socket keeps the process alive.
    this.#timer.unref()
  }

  #fail(code: MemcachedErrorCode, message: string, options: ErrorOptions = {}): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#socket.destroy()
    clearTimeout(this.#timer)
    const outcomeUnknown = this.#isReady
    for (const { reject } of this.#pending.splice(0)) reject(this.#error(code, message, { outcomeUnknown, ...options }))
    this.#onEnd()
  }

  #error(code: MemcachedErrorCode, message: string, options: MemcachedErrorOptions): MemcachedError {
    return new MemcachedError(code, `memcached ${addressOf(this.#settings)} ${message}`, options)
  }
}

export function addressOf({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function isOlder(version: readonly number[], than: readonly number[]): boolean {
  const index = than.findIndex((number, place) => version[place] !== number)
  return index >= 0 && (version[index] ?? 0) < (than[index] ?? 0)
}

/** What a server says in its own words, short. */
function quote(line: string): string {
  return JSON.stringify(line.slice(0, 100))
}

/** Attempts over both IPv4 and IPv6 fail with an error that has a code and no message. */
function describe(error: NodeJS.ErrnoException): string {
  return `failed: ${error.message === '' ? error.code : error.message}`
}
