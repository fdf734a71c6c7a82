import { once } from 'node:events'
import { createSentinel } from '@redis/client'
import { Redis } from 'ioredis'
import { Redis as Valkey } from 'iovalkey'
import type { OpenClient } from './redis-clients.js'
import { masterName } from './redis-sentinel.js'

const at = (port: number): { host: string; port: number } => ({ host: '127.0.0.1', port })

/** @param detours By address, where to connect instead. */
type Open = (ports: readonly number[], detours?: Record<string, { host: string; port: number }>) => OpenClient

/** An application's clients that ask Sentinels where the master is, with their defaults. */
export const sentinelClients: Readonly<Record<string, Open>> = {
  '@redis/client': (ports, nodeAddressMap = {}) => {
    const sentinelRootNodes = ports.map(at)
    const client = createSentinel({ name: masterName, sentinelRootNodes, nodeAddressMap })
    client.on('error', () => undefined)
    const connecting = client.connect()
    connecting.catch(() => undefined)
    return { client, ready: () => connecting, close: () => void client.destroy() }
  },
  ioredis: (ports, natMap = {}) => ofIoredis(new Redis({ name: masterName, sentinels: ports.map(at), natMap })),
  iovalkey: (ports, natMap = {}) => ofIoredis(new Valkey({ name: masterName, sentinels: ports.map(at), natMap })),
}

function ofIoredis(client: Redis | Valkey): OpenClient {
  client.on('error', () => undefined)
  return { client, ready: () => once(client, 'ready'), close: () => client.disconnect() }
}
