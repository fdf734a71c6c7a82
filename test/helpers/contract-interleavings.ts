import type { Backend } from '../../src/index.js'
import { wrapBackend } from './contract-backends.js'

/** Some requests that start together on a fresh store, and what must hold when they have ended. */
export interface Scene {
  /** Each gets a backend of its own to the store, so that its calls can be told from the others'. */
  readonly store: Backend
  readonly requests: readonly ((backend: Backend) => Promise<unknown>)[]
  readonly check: () => Promise<void>
}

const atOnce = 32

/**
 * Plays the scene in every order in which the store can be given the requests' calls, each call being atomic. Resolves to
 * the number of orders.
 *
 * An order is a list of choices: which of the requests that wait is served next. Each play follows such a list, then
 * always serves the first, and so finds out which lists are to be tried next.
 */
export async function everyInterleaving(setUp: () => Promise<Scene>): Promise<number> {
  const untried: number[][] = [[]]
  let played = 0
  while (untried.length > 0) {
    const batch = untried.splice(-atOnce)
    played += batch.length
    await Promise.all(
      batch.map(async (choices) => {
        const { scene, waiting } = await play(await setUp(), choices)
        await scene.check().catch((error: unknown) => {
          throw new Error(`In the order ${JSON.stringify(choices)} and then always the first`, { cause: error })
        })
        for (let step = choices.length; step < waiting.length; step++) {
          const followed = [...choices, ...waiting.slice(choices.length, step).fill(0)]
          for (let choice = 1; choice < waiting[step]!; choice++) untried.push([...followed, choice])
        }
      }),
    )
  }
  return played
}

/** Also tells how many requests there were to choose from at each step. */
async function play(scene: Scene, choices: readonly number[]): Promise<{ scene: Scene; waiting: number[] }> {
  const lanes = scene.requests.map((request) => new Lane(scene.store, request))
  const waiting: number[] = []
  for (;;) {
    for (const lane of lanes) await lane.standstill()
    const ready = lanes.filter((lane) => lane.waits)
    if (ready.length === 0) break
    ready[choices[waiting.length] ?? 0]!.serve()
    waiting.push(ready.length)
  }
  return { scene, waiting }
}

/** One request, whose calls to the store wait until they are served. */
class Lane {
  readonly #ended: Promise<unknown>
  #parked!: Promise<void>
  #park!: () => void
  #serve: (() => void) | undefined

  constructor(store: Backend, request: (backend: Backend) => Promise<unknown>) {
    this.#expectCall()
    const backend = wrapBackend(store, ({ run }) => {
      const served = new Promise<void>((resolve) => (this.#serve = resolve))
      this.#park()
      return served.then(run)
    })
    this.#ended = request(backend)
  }

  get waits(): boolean {
    return this.#serve !== undefined
  }

  /** Until the request waits for the store or has ended; it may have to get over a pause between two attempts first. */
  async standstill(): Promise<void> {
    await Promise.race([this.#parked, this.#ended])
  }

  serve(): void {
    const serve = this.#serve
    this.#serve = undefined
    this.#expectCall()
    serve?.()
  }

  #expectCall(): void {
    this.#parked = new Promise((resolve) => (this.#park = resolve))
  }
}
