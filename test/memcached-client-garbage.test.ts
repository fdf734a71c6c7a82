import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { MemcachedClient } from '../src/memcached-client/index.js'
import { ReplyParser, type Reply } from '../src/memcached-client/meta-protocol.js'
import { failureOf } from './helpers/memcached-failure.js'
import { eventually } from './helpers/redis-eventually.js'

interface Impostor {
  client: MemcachedClient
  connections: () => number
  /** What it was sent, piece by piece. */
  received: string[]
}

/** The lines of one piece, which it is asked on which connection; a line's opaque is its last word. */
type Script = (lines: string[], socket: Socket) => void

let server: Server
let client: MemcachedClient
let sockets: Set<Socket>

/** A server that greets as a memcached does and then answers as the script says. */
async function startImpostor(script: Script, greeting = 'VERSION 1.6.18\r\n'): Promise<Impostor> {
  let connections = 0
  const received: string[] = []
  sockets = new Set()
  server = createServer({ noDelay: true }, (socket) => {
    connections++
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (piece) => {
      const text = piece.toString('latin1')
      received.push(text)
      if (text === 'version\r\n') socket.write(greeting)
      else script(text.split('\r\n').slice(0, -1), socket)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  client = new MemcachedClient({ servers: [{ host: '127.0.0.1', port }], timeout: 10_000 })
  return { client, connections: () => connections, received }
}

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await client.close()
  server.close()
})

/** Waits until the client has left the first connection. */
function hungUp(): Promise<void> {
  return eventually(async () => sockets.values().next().value?.destroyed === true)
}

const opaqueOf = (line: string | undefined): string => /O(\w+)$/.exec(line ?? '')?.[1] ?? ''

const garbage: Record<string, (opaque: string) => string> = {
  'another protocol': () => 'HTTP/1.1 400 Bad Request\r\n\r\n',
  noise: () => '\0\u00ff\u00fe\r\n',
  'an empty line': () => '\r\n',
  'a line that ends in LF alone': (opaque) => `EN O${opaque} \n`,
  'a line without an end': () => 'x'.repeat(3000),
  'a value longer than it says': (opaque) => `VA 3 c1 O${opaque}\r\nlong\r\n`,
  'a value shorter than it says': (opaque) => `VA 5 c1 O${opaque}\r\nabc\r\nEN O${opaque}\r\n`,
  'a value of no length': (opaque) => `VA c1 O${opaque}\r\n\r\n`,
  'a value of negative length': (opaque) => `VA -1 c1 O${opaque}\r\n\r\n`,
  'a value of 2 GiB': (opaque) => `VA 2147483648 c1 O${opaque}\r\n`,
  'a value without a version': (opaque) => `VA 1 O${opaque}\r\nx\r\n`,
  'a value of version 0': (opaque) => `VA 1 c0 O${opaque}\r\nx\r\n`,
  'a version that is no number': (opaque) => `VA 1 c1\tME O${opaque}\r\nx\r\n`,
  'no opaque': () => 'EN\r\n',
  "another command's opaque": (opaque) => `VA 1 c1 O${opaque}0\r\nx\r\n`,
  'a status of another command': (opaque) => `HD c1 O${opaque}\r\n`,
  'a status that is none': (opaque) => `ZZ O${opaque}\r\n`,
  'a classic reply': () => 'END\r\n',
}

describe('a server that answers with', () => {
  for (const way of ['at once', 'byte by byte'])
    test.each(Object.entries(garbage))(`%s, ${way}, ends the connection with a typed error`, async (_, reply) => {
      const impostor = await startImpostor((lines, socket) => {
        const text = reply(opaqueOf(lines[0]))
        if (way === 'at once') socket.write(text, 'latin1')
        else for (const byte of Buffer.from(text, 'latin1')) socket.write(Buffer.of(byte))
      })
      const failure = await failureOf(impostor.client.get('key'))
      expect(failure).toMatchObject({ code: 'PROTOCOL', outcomeUnknown: true })
      await hungUp()
    })

  test('a part of a reply, and hangs up, leaves the outcome unknown', async () => {
    const impostor = await startImpostor((lines, socket) => socket.end(`VA 5 c1 O${opaqueOf(lines[0])}\r\nhe`))
    expect(await failureOf(impostor.client.get('key'))).toMatchObject({ code: 'UNAVAILABLE', outcomeUnknown: true })
  })

  test('two replies to one command has answered it, and loses the connection', async () => {
    const impostor = await startImpostor((lines, socket) => {
      const reply = `EN O${opaqueOf(lines[0])}\r\n`
      socket.write(reply + reply)
    })
    expect(await impostor.client.get('key')).toBeUndefined()
    expect(await impostor.client.get('key')).toBeUndefined()
    expect(impostor.connections()).toBe(2)
  })

  test('the replies of two commands in the wrong order has answered neither', async () => {
    const impostor = await startImpostor((lines, socket) => {
      for (const line of lines.toReversed()) socket.write(`EN O${opaqueOf(line)}\r\n`)
    })
    const both = [impostor.client.get('one'), impostor.client.get('two')]
    for (const failure of await Promise.all(both.map(failureOf)))
      expect(failure).toMatchObject({ code: 'PROTOCOL', outcomeUnknown: true })
  })

  test.each(['ERROR', 'CLIENT_ERROR bad command line format'])(
    '%s is quoted, and ends the connection',
    async (line) => {
      const impostor = await startImpostor((_, socket) => socket.write(`${line}\r\n`))
      const failure = await failureOf(impostor.client.get('key'))
      expect(failure).toMatchObject({ code: 'SERVER', outcomeUnknown: true })
      expect(failure.message).toContain(line)
      await hungUp()
    },
  )

  test('SERVER_ERROR keeps the connection', async () => {
    const impostor = await startImpostor((lines, socket) => {
      for (const line of lines)
        socket.write(line.includes('bad') ? 'SERVER_ERROR busy\r\n' : `EN O${opaqueOf(line)}\r\n`)
    })
    const [bad, good] = [impostor.client.get('bad'), impostor.client.get('good')]
    expect(await failureOf(bad)).toMatchObject({ code: 'SERVER', outcomeUnknown: true })
    expect(await good).toBeUndefined()
    expect(impostor.connections()).toBe(1)
  })

  test('right replies byte by byte is understood', async () => {
    const impostor = await startImpostor((lines, socket) => {
      const replies = lines.map((line) => `VA 6 c7 O${opaqueOf(line)} sX\r\na\r\nEN \r\n`)
      for (const byte of Buffer.from(replies.join(''))) socket.write(Buffer.of(byte))
    })
    const item = { value: Buffer.from('a\r\nEN '), cas: '7' }
    expect(await Promise.all([impostor.client.get('one'), impostor.client.get('two')])).toEqual([item, item])
  })
})

describe('a server that greets with', () => {
  test.each([
    ['VERSION 1.5.22\r\n', 'SERVER'],
    ['VERSION 1.6.9\r\n', 'SERVER'],
    ['VERSION 0.9.99\r\n', 'SERVER'],
    ['VERSION unknown\r\n', 'PROTOCOL'],
    ['ERROR\r\n', 'SERVER'],
    ['ERROR Too many open connections\r\n', 'SERVER'],
    ['SERVER_ERROR out of memory\r\n', 'SERVER'],
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'PROTOCOL'],
    ['CLIENT_ERROR unauthenticated\r\n', 'AUTH'],
  ])('%j is not told a command', async (greeting, code) => {
    const impostor = await startImpostor(() => undefined, greeting)
    const value = Buffer.from('flush_all\r\n')
    expect(await failureOf(impostor.client.add('key', value, 0))).toMatchObject({ code })
    expect(impostor.received).toEqual(['version\r\n'])
  })

  test('more than it was asked for is not believed any more', async () => {
    const impostor = await startImpostor(() => undefined, 'VERSION 1.6.18\r\nEN O1\r\n')
    expect(await failureOf(impostor.client.get('key'))).toMatchObject({ code: 'PROTOCOL' })
  })

  test.each(['VERSION 1.6.10\r\n', 'VERSION 1.6.45-dirty\r\n', 'VERSION 1.10.0\r\n', 'VERSION 2.0.0\r\n'])(
    '%j is',
    async (greeting) => {
      const impostor = await startImpostor((lines, socket) => socket.write(`EN O${opaqueOf(lines[0])}\r\n`), greeting)
      expect(await impostor.client.get('key')).toBeUndefined()
    },
  )
})

test('the commands of one tick are sent together', async () => {
  const impostor = await startImpostor((lines, socket) => {
    socket.write(lines.map((line) => `EN O${opaqueOf(line)}\r\n`).join(''))
  })
  const keys = Array.from({ length: 64 }, (_, number) => `key-${number}`)
  await Promise.all(keys.map((key) => impostor.client.get(key)))
  await Promise.all(keys.map((key) => impostor.client.get(key)))
  expect(impostor.received.map((piece) => piece.split('\r\n').length - 1)).toEqual([1, 64, 64])
})

test('a stream of replies means the same wherever it is cut in two', () => {
  const stream = Buffer.from(
    'EN O1\r\nVA 5 c7 O2\r\na\r\nb\n\r\nVA 0 c8 O3\r\n\r\nSERVER_ERROR out of O5 c5 memory\r\nHD c9 O4\r\n',
  )
  const repliesOf = (pieces: Buffer[]): Reply[] => {
    const parser = new ReplyParser()
    const replies: Reply[] = []
    for (const piece of pieces) parser.read(piece, (reply) => replies.push(reply))
    return replies
  }
  const whole = repliesOf([stream])
  expect(whole.map(({ status, opaque, cas, value }) => [status, opaque, cas, value?.toString()])).toEqual([
    ['EN', '1', undefined, undefined],
    ['VA', '2', '7', 'a\r\nb\n'],
    ['VA', '3', '8', ''],
    ['SERVER_ERROR', undefined, undefined, undefined],
    ['HD', '4', '9', undefined],
  ])
  for (let cut = 1; cut < stream.length; cut++)
    expect(repliesOf([stream.subarray(0, cut), stream.subarray(cut)])).toEqual(whole)
  expect(repliesOf(Array.from(stream, (byte) => Buffer.of(byte)))).toEqual(whole)
})
