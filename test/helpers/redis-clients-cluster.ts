import { once } from 'node:events'
import { createCluster } from '@redis/client'
import { Cluster } from 'ioredis'
import { Cluster as ValkeyCluster } from 'iovalkey'
import type { OpenClient } from './redis-clients.js'

const host = '127.0.0.1'

/** @param detours By address, where to connect instead. */
type Open = (port: number, detours?: Record<string, { host: string; port: number }>) => OpenClient

/** An application's clients of a cluster, with their defaults, but for one that takes too long for tests. Each is told of one node and finds the others. */
export const clusterClients: Readonly<Record<string, Open>> = {
  '@redis/client': (port, nodeAddressMap = {}) => {
    const client = createCluster({
      rootNodes: [{ socket: { host, port } }],
      nodeAddressMap,
      // By default five seconds pass before it asks who has replaced a node that is gone.
      topologyRefreshOnReconnectionAttemptStrategy: 300,
    })
    client.on('error', () => undefined)
    const connecting = client.connect()
    connecting.catch(() => undefined)
    return { client, ready: () => connecting, close: () => client.destroy() }
  },
  ioredis: (port, natMap = {}) => ofIoredis(new Cluster([{ host, port }], { natMap })),
  iovalkey: (port, natMap = {}) => ofIoredis(new ValkeyCluster([{ host, port }], { natMap })),
}

function ofIoredis(client: Cluster | ValkeyCluster): OpenClient {
  client.on('error', () => undefined)
  return { client, ready: () => once(client, 'ready'), close: () => client.disconnect() }
}
