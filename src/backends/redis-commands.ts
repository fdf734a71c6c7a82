import type { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { SessionError } from '../errors.js'

/** What the Redis backend asks of a client, whichever it is. */
export interface RedisCommands {
  get(key: string): Promise<Buffer | undefined>
  del(key: string): Promise<void>
  /**
   * Runs a script on one key; it answers a whole number. With a number of replicas it rejects with `ERR_BACKEND` unless
   * so many have confirmed what the script wrote.
   */
  run(script: string, key: string, args: readonly (string | Buffer)[], replicas: number): Promise<number>
  /** Some of the keys of strings that match a glob, and the next cursor. Left out for clusters: it asks one node only. */
  scan?(cursor: string, pattern: string): Promise<{ keys: string[]; cursor: string }>
  /** Closes the connection if it is ours. */
  close(): Promise<void>
}

/** How many keys one SCAN looks at: Redis does nothing else meanwhile. */
export const SCAN_COUNT = 100

/** Sends one script, by its digest or whole. */
export type SendScript<Reply> = (command: 'evalsha' | 'eval', text: string) => Promise<Reply>

const digests = new Map<string, string>()

/** By its digest, which is short, unless the server does not know the script yet: after a restart, say. */
export async function runScript<Reply>(script: string, send: SendScript<Reply>): Promise<Reply> {
  let sha = digests.get(script)
  if (sha === undefined) {
    sha = createHash('sha1').update(script).digest('hex')
    digests.set(script, sha)
  }
  const digest = sha
  return guarded(() => send('evalsha', digest)).catch((error: unknown) => {
    if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return guarded(() => send('eval', script))
    throw error
  })
}

/** How long a write may wait for the replicas. The connection waits with it: WAIT holds up all that comes behind. */
export const REPLICATION_MS = 500

/**
 * Runs a script with a WAIT behind it, which the client must send on the same connection: on a new one WAIT knows of no
 * write to wait for and is content at once. The client resolves to the two replies.
 *
 * A write that is not confirmed is final. The core would look it up, find it on the master, and take it for done, and
 * the master is just what may be about to be lost.
 */
export async function runReplicatedScript(
  script: string,
  replicas: number,
  send: SendScript<readonly unknown[]>,
): Promise<number> {
  const [outcome, confirmed] = await runScript(script, send).catch((error: unknown) => {
    // Not done here, that is certain. By looking it up the core makes the client learn of the slot's new place.
    if (error instanceof SessionError || (error instanceof Error && /^(MOVED|ASK) /.test(error.message))) throw error
    throw unconfirmed('its connection was lost, or Redis refused it', error)
  })
  if (Number(outcome) > 0 && Number(confirmed) < replicas) {
    throw unconfirmed(`${Number(confirmed)} of ${replicas} replicas had it after ${REPLICATION_MS} ms`)
  }
  return Number(outcome)
}

function unconfirmed(reason: string, cause?: unknown): SessionError {
  return new SessionError('ERR_BACKEND', `It is not known whether a write would survive a failover: ${reason}`, {
    cause,
  })
}

/** Replies by which the server says that it did not do it and will not: trying again would only add load. */
const REFUSAL = /^(OOM|NOPERM|NOAUTH|WRONGPASS|WRONGTYPE|MISCONF|ERR (invalid )?DB|ERR string exceeds)/

/** What comes behind it is the command's arguments: the store key and the beginning of the values. */
const UNKNOWN_COMMAND = /^ERR unknown (sub)?command '?[^',]*'?/

export async function guarded<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw explained(error)
  }
}

/** A client's error as the core is to see it. */
export function explained<E>(error: E): E | SessionError {
  if (!(error instanceof Error)) return error
  // ioredis attaches the command: the store key and the visitor's values, bound for somebody's error log.
  if ('command' in error) delete error.command
  const [unknown] = UNKNOWN_COMMAND.exec(error.message) ?? []
  // Without the cause, which quotes the arguments too.
  if (unknown !== undefined) return new SessionError('ERR_BACKEND', `Redis refused: ${unknown}; has it been disabled?`)
  if (!REFUSAL.test(error.message)) return error
  return new SessionError('ERR_BACKEND', `Redis refused: ${error.message}`, { cause: error })
}
