import type { Buffer } from 'node:buffer'
import type { MemcacheClient, MemcacheConnection } from 'memcache-client'
import { MemcachedError } from '../memcached-client/index.js'

/** What the client throws without anything having gone wrong. */
export const REFUSALS: readonly string[] = ['NOT_STORED', 'EXISTS', 'NOT_FOUND']
/** How the replies begin that the commands sent here may get. */
const REPLIES = [...REFUSALS, 'STORED', 'DELETED', 'VALUE', 'END', 'ERROR', 'CLIENT_ERROR', 'SERVER_ERROR']

/**
 * Makes garbage an error, and the end of the connection. The client by itself prints it, waits for ever, takes it for the
 * next reply, or throws where nobody can catch it, which ends the process.
 */
export function guarded(client: MemcacheClient): MemcacheClient {
  const send = Reflect.get<MemcacheClient, '_send'>(client, '_send')
  const known = new WeakSet<MemcacheConnection>()
  return Object.assign(client, {
    _send: (connection: MemcacheConnection, ...command: [data: Data, options: Options]) => {
      if (!known.has(connection)) guard(connection)
      known.add(connection)
      return send.call(client, connection, ...command)
    },
    // The bytes as they are: it would make text or an object of what others have written.
    _unpackValue: ({ data }: { data: Buffer }) => data,
  })
}

type Data = Parameters<MemcacheClient['_send']>[1]
type Options = Parameters<MemcacheClient['_send']>[2]

function guard(connection: MemcacheConnection): void {
  const { socket } = connection
  const [unsafely] = (socket?.listeners('data') ?? []) as ((piece: Buffer) => void)[]
  if (!socket || !unsafely) return
  const process = connection.processCmd.bind(connection)
  connection.processCmd = (words) => {
    const isExpected = REPLIES.includes(words[0] ?? '') && connection.peekCommand() !== undefined
    if (!isExpected) throw strange()
    return process(words)
  }
  const safely = (piece: Buffer): void => {
    try {
      unsafely(piece)
    } catch (error) {
      socket.destroy(error as Error)
    }
  }
  socket.on('data', safely).off('data', unsafely)
}

export function strange(): MemcachedError {
  return new MemcachedError('PROTOCOL', 'memcached answered something else than it was asked', { outcomeUnknown: true })
}
