import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend, DialectFactory, PlainBackend } from '../../src/index.js'
import { memcacheClient } from '../../src/backends/memcache-client.js'
import { memcached } from '../../src/backends/memcached.js'
import { memory } from '../../src/backends/memory.js'
import { redis } from '../../src/backends/redis.js'
import { sqlite } from '../../src/backends/sqlite.js'
import { vishnuPython } from '../../src/dialects/vishnu-python.js'
import { type BackendCall, forwardTo } from '../../src/testing/forwarding-backend.js'
import { plainMemory } from './contract-plain.js'
import { startMemcached } from './memcached-server.js'
import { clusterClients } from './redis-clients-cluster.js'
import { startCluster } from './redis-cluster.js'
import { startRedis } from './redis-server.js'

export interface SharedBackend<B = Backend> {
  /** A further server's way to the one store that all share. */
  readonly connect: () => B
  readonly stop: () => Promise<void>
}

/** What every promise has to hold on. */
export const backendKinds: readonly { name: string; start: () => Promise<SharedBackend> }[] = [
  { name: 'memory', start: async () => inProcess(memory()) },
  { name: 'SQLite', start: startSqlite },
  { name: 'Redis', start: async () => shared(await startRedis(), redis) },
  { name: 'Redis Cluster', start: startSharedCluster },
  { name: 'Memcached', start: async () => shared(await startMemcached(), memcached) },
  { name: 'Memcached, with memcache-client', start: async () => shared(await startMemcached(), memcacheClient) },
]

/** Where another library shares the records: in its dialect, and with fewer promises. */
export const plainKinds: readonly {
  name: string
  start: () => Promise<SharedBackend<PlainBackend>>
  dialect: DialectFactory
}[] = [
  { name: 'memory', start: async () => inProcess(plainMemory()) },
  { name: 'Redis', start: async () => shared(await startRedis(), (at) => redis({ ...at, layout: 'plain' })) },
  {
    name: 'Memcached',
    start: async () => shared(await startMemcached(), (at) => memcached({ ...at, layout: 'plain' })),
  },
].map((kind) => ({ ...kind, name: `${kind.name}, shared with Python`, dialect: vishnuPython() }))

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

function inProcess<B>(backend: B): SharedBackend<B> {
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
function shared<B extends Backend | PlainBackend>(
  server: { port: number; stop: () => Promise<void> },
  open: (address: { host: string; port: number }) => B,
): SharedBackend<B> {
  const connections: B[] = []
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

export type Operation = BackendCall['operation']

/** What becomes of a call. */
type Around = <T>(call: BackendCall & { readonly run: () => Promise<T> }) => Promise<T>

const operations = ['read', 'create', 'replace', 'touch', 'delete'] as const satisfies Operation[]

/** The same backend, with something between it and the core: a delay, a fault, a counter. Its methods can be spread. */
export function wrapBackend(inner: Backend, around: Around, maxBytes = inner.maxBytes): Backend {
  const wrapped = forwardTo(inner, (call, run) => around({ ...call, run }))
  const methods = Object.fromEntries(operations.map((name) => [name, wrapped[name].bind(wrapped)]))
  return { ...(methods as unknown as Backend), ...(maxBytes !== undefined && { maxBytes }) }
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
