import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend } from '../../src/index.js'
import { memcacheClient } from '../../src/backends/memcache-client.js'
import { memcached } from '../../src/backends/memcached.js'
import { memory } from '../../src/backends/memory.js'
import { redis } from '../../src/backends/redis.js'
import { sqlite } from '../../src/backends/sqlite.js'
import { startMemcached } from './memcached-server.js'
import { clusterClients } from './redis-clients-cluster.js'
import { startCluster } from './redis-cluster.js'
import { startRedis } from './redis-server.js'

export interface SharedBackend {
  /** A further server's way to the one store that all share. */
  readonly connect: () => Backend
  readonly stop: () => Promise<void>
}

/** What every promise has to hold on. */
export const backendKinds: readonly { name: string; start: () => Promise<SharedBackend> }[] = [
  { name: 'memory', start: startMemory },
  { name: 'SQLite', start: startSqlite },
  { name: 'Redis', start: async () => shared(await startRedis(), redis) },
  { name: 'Redis Cluster', start: startSharedCluster },
  { name: 'Memcached', start: async () => shared(await startMemcached(), memcached) },
  { name: 'Memcached, with memcache-client', start: async () => shared(await startMemcached(), memcacheClient) },
]

/** Three nodes, and one client for all servers: connecting to a cluster is the slowest part. */
async function startSharedCluster(): Promise<SharedBackend> {
  const cluster = await startCluster()
  const { client, close, ready } = clusterClients['ioredis']!(cluster.nodes[0]!.port)
  await ready()
  const backend = redis({ client })
  return {
    connect: () => backend,
    stop: async () => {
      close()
      await cluster.stop()
    },
  }
}

async function startMemory(): Promise<SharedBackend> {
  const backend = memory()
  return { connect: () => backend, stop: async () => undefined }
}

/** Every server has a connection of its own to the one file, as if it were a process of its own. */
async function startSqlite(): Promise<SharedBackend> {
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-sqlite-'))
  const connections: Backend[] = []
  return {
    connect: () => {
      const backend = sqlite({ file: join(dir, 'sessions.sqlite') })
      connections.push(backend)
      return backend
    },
    stop: async () => {
      for (const backend of connections) await backend.close?.()
      await rm(dir, { recursive: true })
    },
  }
}

/** A server, with as many connections to it as there are application servers. */
function shared(
  server: { port: number; stop: () => Promise<void> },
  open: (address: { host: string; port: number }) => Backend,
): SharedBackend {
  const connections: Backend[] = []
  return {
    connect: () => {
      const backend = open({ host: '127.0.0.1', port: server.port })
      connections.push(backend)
      return backend
    },
    stop: async () => {
      for (const backend of connections) await backend.close?.()
      await server.stop()
    },
  }
}

export type Operation = 'read' | 'create' | 'replace' | 'touch' | 'delete'

export interface BackendCall<T = unknown> {
  readonly operation: Operation
  readonly key: string
  readonly run: () => Promise<T>
}

/** What becomes of a call. */
export type Around = <T>(call: BackendCall<T>) => Promise<T>

/** The same backend, with something between it and the core: a delay, a fault, a counter. */
export function wrapBackend(inner: Backend, around: Around, maxBytes = inner.maxBytes): Backend {
  return {
    read: (key, now) => around({ operation: 'read', key, run: () => inner.read(key, now) }),
    create: (key, value, deadline, now) =>
      around({ operation: 'create', key, run: () => inner.create(key, value, deadline, now) }),
    replace: (key, entry, value, deadline, now) =>
      around({ operation: 'replace', key, run: () => inner.replace(key, entry, value, deadline, now) }),
    touch: (key, entry, deadline, now) =>
      around({ operation: 'touch', key, run: () => inner.touch(key, entry, deadline, now) }),
    delete: (key) => around({ operation: 'delete', key, run: () => inner.delete(key) }),
    ...(maxBytes !== undefined && { maxBytes }),
  }
}

/** A backend that writes down what is asked of it. */
export function recordingBackend(inner: Backend): { backend: Backend; calls: { operation: Operation; key: string }[] } {
  const calls: { operation: Operation; key: string }[] = []
  const backend = wrapBackend(inner, ({ operation, key, run }) => {
    calls.push({ operation, key })
    return run()
  })
  return { backend, calls }
}
