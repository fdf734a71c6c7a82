import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A process of ours that answers orders one at a time. Ends with this process, however that ends. */
export class Child {
  #process
  #settle
  #hasEnded = false

  constructor(file, setting = {}) {
    this.#process = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(setting)], {
      env: { ...process.env, NODE_ENV: 'production' },
    })
    this.#process.on('message', ({ answer, failure }) => {
      if (failure === undefined) this.#settle.resolve(answer)
      else this.#settle.reject(new Error(failure))
    })
    this.#process.on('exit', (code) => {
      this.#hasEnded = true
      this.#settle?.reject(new Error(`${file} ${JSON.stringify(setting)} ended with ${code}`))
    })
  }

  /** The first answer comes unasked, when the process is ready. */
  answer() {
    if (this.#hasEnded) return Promise.reject(new Error('the process has ended'))
    return new Promise((resolve, reject) => (this.#settle = { resolve, reject }))
  }

  ask(order) {
    const answer = this.answer()
    this.#process.send(order)
    return answer
  }

  async end() {
    this.#settle = undefined
    if (this.#hasEnded) return
    const ended = new Promise((resolve) => this.#process.once('exit', resolve))
    this.#process.disconnect()
    await ended
  }
}
