import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'

/** A redis-server of our own on a free loopback port, which keeps nothing on disk. */
export async function startRedis(folder) {
  const port = await freePort()
  const settings = ['--port', port, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no']
  const server = spawn('redis-server', settings.map(String), { stdio: 'ignore' })
  // However this process ends, except by force.
  process.on('exit', () => server.kill('SIGKILL'))
  const client = createClient({ url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: () => 50 } })
  client.on('error', () => undefined)
  const isUp = await Promise.race([client.connect().then(() => true), sleep(10_000, false, { ref: false })])
  if (!isUp || server.exitCode !== null) throw new Error('redis-server did not start')
  const [, version] = /redis_version:(\S+)/.exec(await client.info('server'))

  return {
    port,
    version,
    empty: () => client.flushAll(),
    resetCommands: () => client.configResetStat(),
    /** How often the server ran each command since, those inside of scripts included. */
    async commands() {
      const report = await client.info('commandstats')
      const counts = [...report.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name, calls]) => [name, +calls])
      return Object.fromEntries(counts.filter(([name]) => !['config|resetstat', 'info', 'ping'].includes(name)))
    },
    async stop() {
      const ended = once(server, 'exit')
      await client.close()
      server.kill()
      await ended
    },
  }
}

export async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address()
  probe.close()
  return port
}
