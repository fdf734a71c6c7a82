import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-port.js'
import { end, endWithThisProcess, hasEnded, type ChildProcess } from './server-process.js'

export interface MemcachedOptions {
  /** Further arguments, such as `['-I', '2m']`. */
  args?: readonly string[]
  /** Default `127.0.0.1`. */
  host?: string
  port?: number
}

export interface MemcachedServer {
  readonly host: string
  readonly port: number
  /** Ends the process without warning, as a crash would. */
  readonly kill9: () => Promise<void>
  /** Starts it again on the same port, empty, after stopping it if it still runs. */
  readonly restart: () => Promise<void>
  /** Freezes the process: connections stay open, nothing answers. Resolves when every thread of it stands still. */
  readonly pause: () => Promise<void>
  readonly resume: () => void
  readonly stop: () => Promise<void>
  /** Sends command lines over a fresh connection; all that the server answers. Not for servers with TLS or `-Y`. */
  readonly command: (text: string) => Promise<string>
}

/** Starts a real memcached of its own on a loopback port; resolves when it listens. */
export async function startMemcached(options: MemcachedOptions = {}): Promise<MemcachedServer> {
  const { host = '127.0.0.1', args = [] } = options
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-memcached-'))
  let port = options.port ?? (await freePort())
  let running = await launch(host, port, dir, args).catch(async (error: unknown) => {
    if (options.port !== undefined) throw error
    // Somebody else may have taken the port between the probe and the start.
    port = await freePort()
    return launch(host, port, dir, args)
  })

  return {
    host,
    port,
    kill9: () => end(running, 'SIGKILL'),
    restart: async () => {
      await end(running, 'SIGKILL')
      running = await launch(host, port, dir, args)
    },
    pause: () => pause(running),
    resume: () => void running.kill('SIGCONT'),
    stop: async () => {
      // It has nothing to save, and takes up to a second to notice a SIGTERM.
      await end(running, 'SIGKILL')
      await rm(dir, { recursive: true, force: true })
    },
    command: (text) => command(host, port, text),
  }
}

async function launch(host: string, port: number, dir: string, args: readonly string[]): Promise<ChildProcess> {
  // memcached writes this file once it listens, whatever protocol it speaks there.
  const portFile = join(dir, 'ports')
  await rm(portFile, { force: true })
  // Started by root, memcached refuses to run unless it is told as whom.
  const user = process.getuid?.() === 0 ? ['-u', 'root'] : []
  const child = spawn('memcached', ['-l', host, '-p', String(port), '-U', '0', '-t', '2', ...user, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, MEMCACHED_PORT_FILENAME: portFile },
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (output += String(chunk)))
  // Without a listener, a missing memcached would end the whole test run.
  child.on('error', (error) => (output += error.message))
  endWithThisProcess(child, dir)

  for (let attempt = 0; attempt < 500; attempt++) {
    if (child.pid === undefined || hasEnded(child)) break
    const ports = await readFile(portFile, 'utf8').catch(() => '')
    if (ports.includes(String(port))) return child
    await sleep(10)
  }
  await end(child, 'SIGKILL')
  throw new Error(`memcached did not start on port ${port}:\n${output}`)
}

/** The signal reaches the threads one by one: until the last stands still, some of them could still answer. */
async function pause(child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP')
  const tasks = `/proc/${child.pid}/task`
  for (let attempt = 0; attempt < 500; attempt++) {
    // Only Linux tells. Elsewhere the signal has to do.
    const ids = await readdir(tasks).catch(() => [])
    const states = await Promise.all(ids.map((id) => readFile(join(tasks, id, 'stat'), 'utf8')))
    if (states.every((state) => /\) T /.test(state))) return
    await sleep(2)
  }
  throw new Error(`memcached ${child.pid} did not stand still`)
}

async function command(host: string, port: number, text: string): Promise<string> {
  const socket = connect(port, host).setEncoding('latin1')
  let reply = ''
  socket.on('data', (chunk) => (reply += String(chunk)))
  // Everything before it has been answered when the server closes.
  socket.write(`${text}\r\nquit\r\n`)
  await once(socket, 'close')
  return reply
}
