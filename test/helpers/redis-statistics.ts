import type { RedisServer } from './redis-server.js'

/** Which commands the server ran meanwhile, and how often each: those in scripts too, those of this function not. */
export async function commandsDuring(
  server: RedisServer,
  action: () => Promise<unknown>,
): Promise<Record<string, number>> {
  await server.command('CONFIG', 'RESETSTAT')
  await action()
  const report = await server.command('INFO', 'commandstats')
  const counts = [...report.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name = '', calls]) => [
    name,
    Number(calls),
  ])
  // A client may ask at any time whether the connection is alive.
  return Object.fromEntries(counts.filter(([name]) => !['config|resetstat', 'info', 'ping'].includes(name as string)))
}

/** One number of the server's INFO. */
export async function statistic(server: RedisServer, name: string): Promise<number> {
  const [, value] = new RegExp(`^${name}:(\\d+)`, 'm').exec(await server.command('INFO')) ?? []
  return Number(value)
}
