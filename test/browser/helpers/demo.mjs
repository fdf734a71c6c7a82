import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('../../../demo/server.mjs', import.meta.url))

/** The demo's server in a process of its own, with sessions of its own. */
export class Demo {
  #process
  #folder
  origin
  /** What the server said while it was started. */
  lines

  static async start(environment = {}) {
    const demo = new Demo()
    demo.#folder = await mkdtemp(join(tmpdir(), 'vishnu-demo-'))
    await demo.#run({ PORT: '0', ...environment })
    return demo
  }

  /** As a power cut does it: nothing is written any more. Then started again at the same port. */
  async crashAndRestart() {
    await this.#kill()
    await this.#run({ PORT: new URL(this.origin).port })
  }

  async stop() {
    await this.#kill()
    await rm(this.#folder, { recursive: true })
  }

  async #run(environment) {
    this.lines = []
    this.#process = spawn(process.execPath, [script], {
      env: { ...process.env, DEMO_DATA: this.#folder, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    for await (const line of createInterface(this.#process.stdout)) {
      this.lines.push(line)
      this.origin = /http:\/\/localhost:\d+/.exec(line)?.[0]
      if (this.origin) return
    }
    throw new Error('The demo could not be started')
  }

  async #kill() {
    this.#process.kill('SIGKILL')
    await once(this.#process, 'exit')
  }
}
