import { once } from 'node:events'
import { createClient } from '@redis/client'
import { Redis } from 'ioredis'
import { Redis as Valkey } from 'iovalkey'
import type { RedisClient } from '../../src/backends/redis-client.js'

export interface OpenClient {
  readonly client: RedisClient
  /** Rejects if the first attempt to connect fails, except with @redis/client, which goes on trying. */
  readonly ready: () => Promise<unknown>
  readonly close: () => void
}

const host = '127.0.0.1'

function nodeRedis(port: number): OpenClient {
  const client = createClient({ socket: { host, port } })
  client.on('error', () => undefined)
  const connecting = client.connect()
  connecting.catch(() => undefined)
  return { client, ready: () => connecting, close: () => client.destroy() }
}

function ioredis(port: number, options = {}): OpenClient {
  const client = new Redis(port, host, options)
  client.on('error', () => undefined)
  return { client, ready: () => once(client, 'ready'), close: () => client.disconnect() }
}

function iovalkey(port: number): OpenClient {
  const client = new Valkey(port, host)
  client.on('error', () => undefined)
  return { client, ready: () => once(client, 'ready'), close: () => client.disconnect() }
}

/** For tests that need a client of each package, ready for use. */
export const clientNames: readonly string[] = ['@redis/client', 'ioredis', 'iovalkey']

export async function openReady(name: string, port: number): Promise<OpenClient> {
  const opened = clients[name]!(port)
  await opened.ready()
  return opened
}

/** What the documentation of ioredis offers against waiting for ever and against sending a command twice. */
const careful = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  connectTimeout: 1000,
  retryStrategy: (attempt: number) => Math.min(50 * 2 ** attempt, 500),
}

/** An application's clients: with their defaults, which is where the traps are, and one that is set up with care. */
export const clients: Readonly<Record<string, (port: number) => OpenClient>> = {
  '@redis/client': nodeRedis,
  ioredis,
  'ioredis, set up with care': (port) => ioredis(port, careful),
  iovalkey,
}
