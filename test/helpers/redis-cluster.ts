import { freePort } from './free-port.js'
import { redisCommand } from './redis-command.js'
import { eventually } from './redis-eventually.js'
import { type RedisOptions, type RedisServer, startRedis } from './redis-server.js'

const SLOTS = 16_384

interface ClusterNode extends RedisServer {
  /** On which the nodes talk to each other. */
  readonly busPort: number
}

export interface RedisCluster {
  /** Three masters, each with a third of the slots. The first has a replica. */
  readonly nodes: readonly RedisServer[]
  /** How long a node may be silent before the others give it up. Default: longer than any test. */
  readonly setPatience: (milliseconds: number) => Promise<void>
  /** Resolves when every node says that all is well. */
  readonly untilWell: () => Promise<void>
  readonly slotOf: (key: string) => Promise<number>
  readonly ownerOf: (slot: number) => Promise<RedisServer>
  readonly stop: () => Promise<void>
}

/** Starts a real Redis Cluster on loopback. */
export async function startCluster(options: RedisOptions = {}): Promise<RedisCluster> {
  const all = await Promise.all([1, 2, 3, 4].map(() => startNode(options)))
  const [first, second, third, replica] = all as [ClusterNode, ClusterNode, ClusterNode, ClusterNode]
  const nodes = [first, second, third]
  for (const [index, node] of nodes.entries()) {
    const [from = 0, to = 0] = [index, index + 1].map((part) => Math.floor((part * SLOTS) / nodes.length))
    await node.command('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to - 1))
    // Without an epoch of its own each, they would have to find out first who is right.
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1))
  }
  for (const node of [second, third, replica]) {
    await node.command('CLUSTER', 'MEET', '127.0.0.1', String(first.port), String(first.busPort))
  }

  /** All are well, and all know of each other. */
  const untilWell = (): Promise<void> =>
    eventually(async () => {
      const states = await Promise.all(all.map((node) => node.command('CLUSTER', 'INFO').catch(() => '')))
      return states.every((state) => state.includes('cluster_state:ok') && state.includes('cluster_known_nodes:4'))
    })
  await untilWell()
  await replica.command('CLUSTER', 'REPLICATE', await first.command('CLUSTER', 'MYID'))
  await eventually(async () => (await first.command('INFO', 'replication')).includes('state=online'))

  return {
    nodes,
    untilWell,
    setPatience: async (milliseconds) => {
      for (const node of all) await node.command('CONFIG', 'SET', 'cluster-node-timeout', String(milliseconds))
    },
    slotOf: async (key) => Number(await first.command('CLUSTER', 'KEYSLOT', key)),
    ownerOf: async (slot) => {
      for (const node of nodes) {
        if (ownSlots(await node.command('CLUSTER', 'NODES')).some(([from, to]) => from <= slot && slot <= to))
          return node
      }
      throw new Error(`Nobody has slot ${slot}`)
    },
    stop: async () => void (await Promise.all(all.map((node) => node.stop()))),
  }
}

async function startNode(options: RedisOptions): Promise<ClusterNode> {
  // By default 10,000 above the other, where somebody may be.
  const busPort = await freePort()
  const settings = {
    '--cluster-enabled': 'yes',
    '--cluster-port': String(busPort),
    '--cluster-node-timeout': '60000',
    // A replica need not wait for others who might want to be sent the same.
    '--repl-diskless-sync-delay': '0',
  }
  const server = await startRedis({ ...options, args: [...Object.entries(settings).flat(), ...(options.args ?? [])] })
  return { ...server, busPort }
}

/** The ranges in a node's own line of CLUSTER NODES. */
function ownSlots(report: string): [from: number, to: number][] {
  const line = report.split('\n').find((text) => text.includes('myself')) ?? ''
  return line
    .split(' ')
    .slice(8)
    .filter((range) => /^\d+(-\d+)?$/.test(range))
    .map((range) => {
      const [from = '', to = from] = range.split('-')
      return [Number(from), Number(to)]
    })
}

/** A slot on its way, with all its keys, as `redis-cli --cluster reshard` does it, but one step at a time. */
export interface Migration {
  /** From now on both nodes have a part of the slot: old keys are here, new ones there, and Redis answers with ASK. */
  readonly begin: () => Promise<void>
  readonly moveKeys: () => Promise<void>
  /** From now on Redis answers with MOVED to whoever asks at the old place. */
  readonly end: () => Promise<void>
}

export async function migration(cluster: RedisCluster, slot: number, target: RedisServer): Promise<Migration> {
  const source = await cluster.ownerOf(slot)
  const [sourceId, targetId] = await Promise.all([source, target].map((node) => node.command('CLUSTER', 'MYID')))
  const name = String(slot)
  return {
    begin: async () => {
      await target.command('CLUSTER', 'SETSLOT', name, 'IMPORTING', sourceId ?? '')
      await source.command('CLUSTER', 'SETSLOT', name, 'MIGRATING', targetId ?? '')
    },
    moveKeys: async () => {
      for (;;) {
        const keys = await source.command('CLUSTER', 'GETKEYSINSLOT', name, '10')
        if (keys === '') return
        const to = ['127.0.0.1', String(target.port), '', '0', '5000', 'KEYS']
        await redisCommand(source.port, ['MIGRATE', ...to, ...keys.split('\n')])
      }
    },
    end: async () => {
      // The new owner first: until it knows, the old one would send everybody in circles.
      for (const node of new Set([target, source, ...cluster.nodes])) {
        await node.command('CLUSTER', 'SETSLOT', name, 'NODE', targetId ?? '')
      }
    },
  }
}

/** How often the nodes have sent a client elsewhere. */
export async function redirections(cluster: RedisCluster, kind: 'ASK' | 'MOVED'): Promise<number> {
  const reports = await Promise.all(cluster.nodes.map((node) => node.command('INFO', 'errorstats')))
  const counts = reports.map((report) => Number(new RegExp(`errorstat_${kind}:count=(\\d+)`).exec(report)?.[1] ?? 0))
  return counts.reduce((sum, count) => sum + count, 0)
}
