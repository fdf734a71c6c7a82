import { connect } from 'node:net'

const patience = 5_000

/**
 * Sends one command over a connection of its own and gives the reply as text, the way redis-cli would: '(nil)' for no
 * value, one line per element for a list. An error reply rejects.
 */
export function redisCommand(port: number, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let received = Buffer.alloc(0)

    const timer = setTimeout(() => socket.destroy(new Error(`No reply to ${args[0]} in ${patience} ms`)), patience)
    socket.on('connect', () => socket.write(encode(args)))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      const reply = parse(received, 0)
      if (reply === undefined) return
      if (received[0] === '-'.charCodeAt(0)) reject(new Error(reply.text))
      else resolve(reply.text)
      socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => {
      clearTimeout(timer)
      // Changes nothing after a reply.
      reject(new Error(`The connection closed before the reply to ${args[0]}`))
    })
  })
}

function encode(args: readonly string[]): string {
  const bulks = args.map((argument) => `$${Buffer.byteLength(argument)}\r\n${argument}\r\n`)
  return `*${args.length}\r\n${bulks.join('')}`
}

interface Reply {
  text: string
  end: number
}

/** undefined while the reply is incomplete. */
function parse(bytes: Buffer, start: number): Reply | undefined {
  const lineEnd = bytes.indexOf('\r\n', start)
  if (lineEnd < 0) return undefined
  const kind = String.fromCharCode(bytes[start] ?? 0)
  const line = bytes.toString('utf8', start + 1, lineEnd)
  const end = lineEnd + 2

  if (kind === '+' || kind === '-' || kind === ':') return { text: line, end }
  const length = Number(line)
  if (length < 0) return { text: '(nil)', end }
  if (kind === '$') return parseBulk(bytes, end, length)
  if (kind === '*') return parseList(bytes, end, length)
  throw new Error(`Unknown kind of reply: ${kind}`)
}

function parseBulk(bytes: Buffer, start: number, length: number): Reply | undefined {
  const end = start + length + 2
  if (bytes.length < end) return undefined
  return { text: bytes.toString('utf8', start, start + length), end }
}

function parseList(bytes: Buffer, start: number, length: number): Reply | undefined {
  const lines: string[] = []
  let end = start
  while (lines.length < length) {
    const element = parse(bytes, end)
    if (element === undefined) return undefined
    lines.push(element.text)
    end = element.end
  }
  return { text: lines.join('\n'), end }
}
