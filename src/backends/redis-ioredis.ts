import type { Buffer } from 'node:buffer'
import {
  guarded,
  REPLICATION_MS,
  runReplicatedScript,
  runScript,
  type RedisCommands,
  SCAN_COUNT,
} from './redis-commands.js'

/** A client of `ioredis` or `iovalkey`: of one server, found by Sentinels or not. */
interface IoredisServer {
  readonly options?: { readonly autoResendUnfulfilledCommands?: boolean }
  on(event: 'close', listener: () => void): unknown
}

/** Their client of a cluster. */
interface IoredisCluster {
  nodes(): readonly IoredisServer[]
  on(event: '+node', listener: (node: IoredisServer) => void): unknown
}

export type Ioredis = (IoredisServer | IoredisCluster) & {
  getBuffer(key: string): Promise<Buffer | null>
  del(key: string): Promise<unknown>
  eval(...args: ScriptArguments): Promise<unknown>
  evalsha(...args: ScriptArguments): Promise<unknown>
  pipeline(): Pipeline
  scan(...args: (string | number)[]): Promise<[cursor: string, keys: string[]]>
}

type ScriptArguments = [text: string, keys: number, ...keysAndArgs: (string | Buffer)[]]

interface Pipeline {
  eval(...args: ScriptArguments): Pipeline
  evalsha(...args: ScriptArguments): Pipeline
  wait(replicas: number, milliseconds: number): Pipeline
  exec(): Promise<[error: Error | null, reply: unknown][] | null>
}

export function bindIoredis(client: Ioredis): RedisCommands {
  const lostConnections = countLostConnections(client)
  return {
    get: async (key) => (await guarded(() => client.getBuffer(key))) ?? undefined,
    del: async (key) => void (await guarded(() => client.del(key))),
    run: async (script, key, args, replicas) => {
      const before = lostConnections()
      const outcome =
        replicas === 0
          ? Number(await runScript(script, (command, text) => client[command](text, 1, key, ...args)))
          : await runReplicatedScript(script, replicas, async (command, text) => {
              const pipeline = client.pipeline()[command](text, 1, key, ...args)
              const replies = (await pipeline.wait(replicas, REPLICATION_MS).exec()) ?? []
              return replies.map(([error, reply]) => {
                if (error) throw error
                return reply
              })
            })
      if (outcome <= 0 && lostConnections() !== before) throw new Error('the connection was lost during a write')
      return outcome
    },
    ...(!('nodes' in client) && {
      scan: async (cursor, pattern) => {
        const options = ['MATCH', pattern, 'COUNT', SCAN_COUNT, 'TYPE', 'string']
        const [next, keys] = await guarded(() => client.scan(cursor, ...options))
        return { keys, cursor: next }
      },
    }),
    close: async () => undefined,
  }
}

/**
 * By default these clients send commands again whose reply a lost connection has swallowed; a cluster's does always. A
 * refusal can then be the second run's, of a write that was applied by the first and overwritten since: its outcome is
 * unknown.
 */
function countLostConnections(client: Ioredis): () => number {
  let count = 0
  const watch = (server: IoredisServer): unknown => server.on('close', () => count++)
  if ('nodes' in client) {
    for (const node of client.nodes()) watch(node)
    client.on('+node', watch)
  } else if (client.options?.autoResendUnfulfilledCommands !== false) {
    watch(client)
  }
  return () => count
}
