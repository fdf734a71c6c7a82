import { Buffer } from 'node:buffer'
import {
  guarded,
  REPLICATION_MS,
  runReplicatedScript,
  runScript,
  type RedisCommands,
  SCAN_COUNT,
} from './redis-commands.js'

/** A client of `@redis/client`: of `createClient`, `createCluster` or `createSentinel`. */
export interface NodeRedis {
  withTypeMapping(mapping: Record<number, unknown>): NodeRedis
  get(key: string): Promise<Buffer | null>
  del(key: string): Promise<unknown>
  eval(script: string, options: ScriptOptions): Promise<unknown>
  evalSha(sha: string, options: ScriptOptions): Promise<unknown>
  multi(): Pipeline
  scan(
    cursor: string,
    options: { MATCH: string; TYPE: string; COUNT: number },
  ): Promise<{ cursor: string | number; keys: string[] }>
  /** Of `createCluster` alone. */
  readonly masters?: unknown
  /** Of `createSentinel` alone. */
  getMasterNode?(): unknown
  sendCommand(isReadonly: boolean, args: readonly string[]): Promise<unknown>
}

interface ScriptOptions {
  keys: string[]
  arguments: (string | Buffer)[]
}

interface Pipeline {
  eval(script: string, options: ScriptOptions): Pipeline
  evalSha(sha: string, options: ScriptOptions): Pipeline
  wait(replicas: number, milliseconds: number): Pipeline
  execAsPipeline(): Promise<unknown[]>
}

/** RESP's mark of a bulk string: asks @redis/client for the bytes as they are, not for text. */
const BULK_STRING = '$'.charCodeAt(0)

export function bindNodeRedis(client: NodeRedis): RedisCommands {
  const binary = client.withTypeMapping({ [BULK_STRING]: Buffer })
  const connection = client.getMasterNode && sentinelConnection(client)

  return {
    get: async (key) => (await guarded(() => binary.get(key))) ?? undefined,
    del: async (key) => void (await guarded(() => binary.del(key))),
    run: async (script, key, args, replicas) => {
      const options = { keys: [key], arguments: [...args] }
      const isUnchanged = await connection?.()
      const outcome =
        replicas === 0
          ? Number(
              await runScript(script, (command, text) =>
                command === 'evalsha' ? binary.evalSha(text, options) : binary.eval(text, options),
              ),
            )
          : await runReplicatedScript(script, replicas, (command, text) => {
              const pipeline = binary.multi()
              const one = command === 'evalsha' ? pipeline.evalSha(text, options) : pipeline.eval(text, options)
              return one.wait(replicas, REPLICATION_MS).execAsPipeline()
            })
      if (outcome <= 0 && isUnchanged && !(await isUnchanged())) {
        throw new Error('the connection was lost during a write')
      }
      return outcome
    },
    ...(client.masters === undefined && {
      scan: async (cursor, pattern) => {
        const options = { MATCH: pattern, TYPE: 'string', COUNT: SCAN_COUNT }
        const reply = await guarded(() => client.scan(cursor, options))
        return { keys: reply.keys, cursor: String(reply.cursor) }
      },
    }),
    close: async () => undefined,
  }
}

/**
 * createSentinel sends a command again whose reply a lost connection has swallowed, and tells nobody. A refusal can then
 * be the second run's, of a write that was applied by the first and overwritten since. Redis says which connection it is.
 *
 * @returns To be called before a write: resolves to what tells whether the connection is still the same.
 */
function sentinelConnection(client: NodeRedis): () => Promise<() => Promise<boolean>> {
  let current: string | undefined
  async function ask(): Promise<string> {
    const info = String(await guarded(() => client.sendCommand(false, ['CLIENT', 'INFO'])))
    current = /^id=\d+ addr=\S+ laddr=\S+/.exec(info)?.[0] ?? ''
    return current
  }
  return async () => {
    const before = current ?? (await ask())
    return async () => (await ask()) === before
  }
}
