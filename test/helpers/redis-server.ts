import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-port.js'
import { redisCommand } from './redis-command.js'
import { end, endWithThisProcess, hasEnded, type ChildProcess } from './server-process.js'

/** The environment may name another server of its kind: a Valkey, say. */
const program = process.env['REDIS_SERVER'] ?? 'redis-server'

export interface RedisOptions {
  /** Further arguments, such as `['--maxmemory', '2mb']`. */
  args?: readonly string[]
  /** Turns the append-only file on. Without it the server keeps nothing on disk. */
  appendfsync?: 'always' | 'everysec'
  port?: number
  /** A folder of the caller's, which `stop` leaves alone. Default: a temporary one, which `stop` removes. */
  dir?: string
  /** Makes it a Sentinel with these lines of configuration. */
  sentinel?: string
}

export interface RedisServer {
  readonly port: number
  readonly dir: string
  /** Ends the process without warning, as a crash would. */
  readonly kill9: () => Promise<void>
  /** Starts it again on the same port and folder, after stopping it in good order if it still runs. */
  readonly restart: () => Promise<void>
  /** Freezes the process: connections stay open, nothing answers. */
  readonly pause: () => void
  readonly resume: () => void
  readonly stop: () => Promise<void>
  /** Sends one command over a fresh connection; the reply as text, '(nil)' for no value. */
  readonly command: (...args: string[]) => Promise<string>
}

/** Starts a real redis-server of its own on a loopback port; resolves when it answers. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'vishnu-redis-')))
  let port = options.port ?? (await freePort())
  let running = await launch(port, dir, options).catch(async (error: unknown) => {
    if (options.port !== undefined) throw error
    // Somebody else may have taken the port between the probe and the start.
    port = await freePort()
    return launch(port, dir, options)
  })

  return {
    port,
    dir,
    kill9: () => end(running, 'SIGKILL'),
    restart: async () => {
      await end(running, 'SIGTERM')
      running = await launch(port, dir, options)
    },
    pause: () => void running.kill('SIGSTOP'),
    resume: () => void running.kill('SIGCONT'),
    stop: async () => {
      await end(running, 'SIGTERM')
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true })
    },
    command: (...args) => redisCommand(port, args),
  }
}

async function launch(port: number, dir: string, options: RedisOptions): Promise<ChildProcess> {
  const args =
    options.sentinel === undefined
      ? serverArguments(port, dir, options)
      : await sentinelArguments(port, dir, options.sentinel)
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (output += String(chunk)))
  // Without a listener, a missing server would end the whole test run.
  child.on('error', (error) => (output += error.message))
  endWithThisProcess(child, options.dir === undefined ? dir : '')

  for (let attempt = 0; attempt < 500; attempt++) {
    if (child.pid === undefined || hasEnded(child)) break
    if (await answers(port, child.pid)) return child
    await sleep(20)
  }
  await end(child, 'SIGKILL')
  throw new Error(`${program} did not start on port ${port}:\n${output}`)
}

function serverArguments(port: number, dir: string, { appendfsync, args = [] }: RedisOptions): string[] {
  const persistence = appendfsync === undefined ? ['no'] : ['yes', '--appendfsync', appendfsync]
  const settings = { '--port': String(port), '--bind': '127.0.0.1', '--dir': dir, '--save': '' }
  return [...Object.entries(settings).flat(), '--appendonly', ...persistence, ...args]
}

/** A Sentinel keeps what it learns in its configuration file. */
async function sentinelArguments(port: number, dir: string, lines: string): Promise<string[]> {
  const file = join(dir, 'sentinel.conf')
  await writeFile(file, `port ${port}\nbind 127.0.0.1\ndir ${dir}\n${lines}\n`)
  return [file, '--sentinel']
}

/** Asks for the process id too, since another server on the same port would answer PING just as well. */
async function answers(port: number, pid: number): Promise<boolean> {
  try {
    const pong = await redisCommand(port, ['PING'])
    const info = await redisCommand(port, ['INFO', 'server'])
    return pong === 'PONG' && info.includes(`process_id:${pid}\r\n`)
  } catch {
    return false
  }
}
