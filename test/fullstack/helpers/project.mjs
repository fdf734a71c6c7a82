import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { inject } from 'vitest'
import { freePort } from '../../helpers/free-port.ts'

const folder = resolve(import.meta.dirname, '..')

/** Nothing of this is to leave the machine, and addresses are read from plain text. */
const environment = {
  NO_COLOR: '1',
  NEXT_TELEMETRY_DISABLED: '1',
  ASTRO_TELEMETRY_DISABLED: '1',
  SESSION_SECRET: 'a secret for tests, and for nothing else',
}

/**
 * A copy of an application, with the package as it would be published in its `node_modules`. It lies beside those of the
 * framework's test folder and finds all other packages there, without links: Turbopack follows none that lead outside.
 */
export class Project {
  /** `node`: another Node than the one that runs the tests, for frameworks that need a newer one. */
  static async create(framework, source, { node = process.execPath } = {}) {
    const dir = await mkdtemp(join(folder, framework, '.project-'))
    const project = new Project(framework, dir, node)
    try {
      await cp(source, dir, { recursive: true, filter: (path) => !path.startsWith(join(source, 'node_modules')) })
      await cp(inject('package'), join(dir, 'node_modules/vishnu'), { recursive: true })
    } catch (error) {
      await project.remove()
      throw error
    }
    return project
  }

  constructor(framework, dir, node) {
    this.framework = framework
    this.dir = dir
    this.node = node
  }

  /** A script of one of the framework's packages, such as `next/dist/bin/next`. */
  script(path) {
    return join(folder, this.framework, 'node_modules', path)
  }

  /** Runs a Node script to its end; rejects with what it said if it fails. */
  async run(script, args = [], env = {}) {
    const child = this.#spawn(script, args, env)
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`${script} ${args.join(' ')} ended with ${code}:\n${said}`)
    return said
  }

  /** Runs a server on a free port until it has printed its address. `args` may be a function of the port. */
  async serve(script, args = [], env = {}) {
    const port = await freePort()
    const list = typeof args === 'function' ? args(port) : args
    const server = new Server(this.#spawn(script, list, { PORT: String(port), HOST: '127.0.0.1', ...env }), port)
    await server.ready
    return server
  }

  async remove() {
    await rm(this.dir, { recursive: true, maxRetries: 3 })
  }

  #spawn(script, args, env) {
    const child = spawn(this.node, [script, ...args], {
      cwd: this.dir,
      env: { ...process.env, NODE_ENV: undefined, VITEST: undefined, ...environment, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own, so that it can be ended with all its children.
      detached: true,
    })
    endWithThisProcess(child)
    return child
  }
}

/** A shell waits on a pipe from this process, which the system closes even when this process is killed. */
function endWithThisProcess(child) {
  const watchdog = spawn('sh', ['-c', 'read -r line; kill -9 "-$1"', 'sh', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  child.on('exit', () => watchdog.kill('SIGKILL'))
  watchdog.unref()
}

class Server {
  #child
  /** All that it has printed. */
  output = ''

  constructor(child, port) {
    this.#child = child
    this.origin = `http://localhost:${port}`
    this.ready = new Promise((resolveReady, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on('line', (line) => {
          this.output += `${line}\n`
          if (line.includes(`:${port}`)) resolveReady()
        })
      }
      child.once('exit', (code) => reject(new Error(`The server ended with ${code}:\n${this.output}`)))
    })
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    process.kill(-this.#child.pid, 'SIGKILL')
    await exited
  }
}
