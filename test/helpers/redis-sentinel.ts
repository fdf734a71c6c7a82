import { redisCommand } from './redis-command.js'
import { eventually } from './redis-eventually.js'
import { type RedisServer, startRedis } from './redis-server.js'

/** What the Sentinels and the clients call the master. */
export const masterName = 'sessions'

export interface SentinelGroup {
  readonly sentinels: readonly RedisServer[]
  readonly master: () => Promise<RedisServer>
  /** Resolves when the Sentinels have made another server the master. */
  readonly untilReplaced: (old: RedisServer) => Promise<void>
  /** Resolves when all Sentinels agree on a master that has two replicas in step. */
  readonly untilWell: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** Starts a master, two replicas, and three Sentinels that replace the master when it is gone for half a second. */
export async function startSentinels(): Promise<SentinelGroup> {
  // A replica need not wait for others who might want to be sent the same.
  const args = ['--repl-diskless-sync-delay', '0']
  const first = await startRedis({ args })
  const follow = [...args, '--replicaof', `127.0.0.1 ${first.port}`]
  const servers = [first, ...(await Promise.all([1, 2].map(() => startRedis({ args: follow }))))]
  const sentinel = [
    `sentinel monitor ${masterName} 127.0.0.1 ${first.port} 2`,
    `sentinel down-after-milliseconds ${masterName} 500`,
    `sentinel failover-timeout ${masterName} 2000`,
    `sentinel parallel-syncs ${masterName} 2`,
  ].join('\n')
  const sentinels = await Promise.all([1, 2, 3].map(() => startRedis({ sentinel })))
  // They look around every ten seconds, and let a master that comes back be one for eight.
  const often = Object.entries({ 'info-period': 500, 'publish-period': 200, 'ask-period': 200, 'ping-period': 200 })
  for (const one of sentinels) await one.command('SENTINEL', 'DEBUG', ...often.flat().map(String))

  async function masterPorts(): Promise<Set<string>> {
    const addresses = await Promise.all(
      sentinels.map(({ port }) => redisCommand(port, ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', masterName])),
    )
    return new Set(addresses.map((address) => address.split('\n')[1] ?? ''))
  }

  async function master(): Promise<RedisServer> {
    const [port] = await masterPorts()
    const server = servers.find((one) => String(one.port) === port)
    if (!server) throw new Error(`No server of ours has port ${port}`)
    return server
  }

  async function isWell(): Promise<boolean> {
    if ((await masterPorts()).size > 1) return false
    const server = await master()
    const roles = await Promise.all(servers.map((one) => one.command('INFO', 'replication').catch(() => '')))
    const [own = ''] = roles.filter((_, index) => servers[index] === server)
    const inStep = own.match(/state=online/g)?.length === 2 && own.includes('role:master')
    const following = roles.filter((role) => role.includes(`master_port:${server.port}\r`)).length === 2
    // To be chosen as the next master a replica must be known to each, and Sentinels to each other.
    const known = await Promise.all(sentinels.map(({ port }) => redisCommand(port, ['INFO', 'sentinel'])))
    return (
      inStep &&
      following &&
      known.every((report) => report.includes('status=ok') && report.includes('slaves=2,sentinels=3'))
    )
  }

  const untilWell = (): Promise<void> => eventually(isWell)
  await untilWell()
  return {
    sentinels,
    master,
    untilReplaced: (old) => eventually(async () => (await masterPorts()).size === 1 && (await master()) !== old),
    untilWell,
    stop: async () => {
      await Promise.all(sentinels.map((one) => one.stop()))
      await Promise.all(servers.map((one) => one.stop()))
    },
  }
}
