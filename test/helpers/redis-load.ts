import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from './redis-eventually.js'
import type { App, AppData } from './redis-app.js'
import { Browser, type BrowserResponse } from './browser.js'

/** Visitors who do not stop coming, and a record of what each was told. */
export class Load {
  /** What the application confirmed that it has stored, and what it said that it could not store. */
  readonly acknowledged: string[] = []
  readonly failed: string[] = []
  readonly responses: BrowserResponse[] = []
  /** A visitor with a session, which all his tabs share. */
  readonly regular: Browser
  readonly #app: App
  readonly #newcomers: { browser: Browser; name: string }[] = []
  readonly #progress = new EventEmitter()
  #workers: Promise<void>[] = []
  #isOver = false
  #visits = 0

  constructor(app: App, regular: Browser) {
    this.#app = app
    this.regular = regular
    this.#progress.setMaxListeners(0)
  }

  /** Tabs of one visitor, each adding to the same value of the same session, and visitors who come for the first time. */
  start({ tabs = 6, newcomers = 2 } = {}): void {
    const repeat = async (visit: () => Promise<boolean>): Promise<void> => {
      while (!this.#isOver) if (!(await visit())) await sleep(5)
    }
    this.#workers = [
      ...Array.from({ length: tabs }, () => repeat(() => this.visit())),
      ...Array.from({ length: newcomers }, () => repeat(() => this.#arrive())),
    ]
  }

  /** Resolves when it is so; asks after each response. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await once(this.#progress, 'response')
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#workers)
  }

  /** One tab's request; resolves to whether it was acknowledged. */
  async visit(): Promise<boolean> {
    const token = `visit-${this.#visits++}`
    const response = await this.regular.post(this.#app.url(`/visit?argument=${token}`))
    const isDone = this.#note(response)
    ;(isDone ? this.acknowledged : this.failed).push(token)
    this.#progress.emit('response')
    return isDone
  }

  async #arrive(): Promise<boolean> {
    const [browser, name] = [new Browser(), `visitor-${this.#newcomers.length}`]
    const isDone = this.#note(await browser.post(this.#app.url(`/rename?argument=${name}`)))
    if (isDone) this.#newcomers.push({ browser, name })
    this.#progress.emit('response')
    return isDone
  }

  #note(response: BrowserResponse): boolean {
    this.responses.push(response)
    return response.status === 200
  }

  /** In words, what should not have been: confirmed and not stored, stored twice, a visitor logged out … */
  async faults(): Promise<string[]> {
    const { visits = [] } = await readSession(this.regular, this.#app)
    const stored = visits.filter((token) => token.startsWith('visit-'))
    const known = new Set([...this.acknowledged, ...this.failed])
    const faults = [
      ...this.acknowledged.filter((token) => !stored.includes(token)).map((token) => `${token} was lost`),
      ...stored.filter((token, index) => stored.indexOf(token) !== index).map((token) => `${token} was done twice`),
      ...stored.filter((token) => !known.has(token)).map((token) => `${token} was never asked for`),
    ]
    for (const { browser, name } of this.#newcomers) {
      const { user } = await readSession(browser, this.#app)
      if (user !== name) faults.push(`${name} was forgotten`)
    }
    for (const { status, setCookies, body } of this.responses) {
      if (status === 200 || (status === 503 && setCookies.length === 0)) continue
      faults.push(`an answer was ${status} ${body} ${setCookies.join()}`)
    }
    return faults
  }
}

/** A visitor with a session. Waits for Redis: the application's client may not be connected yet. */
export async function regularVisitor(app: App): Promise<Browser> {
  const browser = new Browser()
  await eventually(async () => (await browser.post(app.url('/visit?argument=first'))).status === 200)
  return browser
}

/** Waits for Redis: after a failover a client's other connections may still lead to the node that is gone. */
export async function readSession(browser: Browser, app: App): Promise<Partial<AppData>> {
  let response = await browser.get(app.url('/read'))
  await eventually(async () => {
    if (response.status === 503) response = await browser.get(app.url('/read'))
    return response.status !== 503
  })
  if (response.status !== 200) throw new Error(`The session could not be read: ${response.status} ${response.body}`)
  return JSON.parse(response.body) as Partial<AppData>
}
