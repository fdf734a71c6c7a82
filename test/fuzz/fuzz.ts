import { readFileSync, writeFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Below, type FuzzTarget, seededBelow } from './fuzz-target.js'

interface FuzzOptions {
  /** A JSON file: for each target, by what came of it, the shortest input from which that came. */
  readonly corpus: URL
  /** How many inputs, over all targets, when no long run is ordered. */
  readonly inputs: number
  /** How many in a long run of so many damaged cookies. */
  readonly inLongRun: (cookies: number) => number
  readonly targets: (below: Below) => FuzzTarget[] | Promise<FuzzTarget[]>
}

const MAX_GROWTH = 20 * 2 ** 20

const { FUZZ_COOKIES: ordered, FUZZ_SEED: seed = '1' } = process.env

/**
 * Feeds targets what the corpus holds, then damaged input. A long run (`FUZZ_COOKIES`) puts in the corpus what does harm, and
 * what leads to something that nothing else there has led to. `FUZZ_SEED` gives other input.
 */
export function fuzz({ corpus: file, inputs, inLongRun, targets: targetsFrom }: FuzzOptions): void {
  const corpus = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, string>>
  const total = ordered === undefined ? inputs : inLongRun(Number(ordered))
  let targets: FuzzTarget[]
  beforeAll(async () => {
    targets = await targetsFrom(seededBelow(Number(seed)))
  })

  afterAll(() => {
    if (ordered !== undefined) writeFileSync(file, `${JSON.stringify(corpus, undefined, 2)}\n`)
  })

  test('what earlier runs have met does no harm', async () => {
    expect(Object.keys(corpus)).toEqual(targets.map(({ name }) => name))
    for (const { name, attempt } of targets) {
      for (const text of Object.values(corpus[name]!)) await attempt(text)
    }
  })

  test(`${total} others do none`, { timeout: 60_000 + total }, async () => {
    const start = performance.now()
    const used = await usedMemory()
    for (let number = 0; number < total; number++) {
      const { name, damaged, attempt } = targets[number % targets.length]!
      const text = damaged()
      try {
        keep(name, await attempt(text), text)
      } catch (error) {
        keep(name, `harm: ${String(error)}`, text)
        throw new Error(`${name}, seed ${seed}: ${JSON.stringify(text)}`, { cause: error })
      }
    }
    const growth = (await usedMemory()) - used
    expect(growth).toBeLessThan(MAX_GROWTH)
    if (ordered === undefined) return
    const seconds = Math.round((performance.now() - start) / 1000)
    const told = `${total} inputs in ${seconds} s, seed ${seed}: no harm, ${Math.round(growth / 2 ** 10)} KiB more in use`
    process.stdout.write(`${told}\n`)
  })

  function keep(name: string, outcome: string, text: string): void {
    if (ordered === undefined) return
    // Numbers and names that were read from the input do not make it another outcome.
    const label = outcome.replaceAll(/"[^"]*"|0x[\da-f]+|\d+/g, '…')
    const known = (corpus[name] ??= {})
    if (known[label] === undefined || text.length < known[label].length) known[label] = text
  }
}

/** Bytes of the heap, without what nobody can reach any more. */
async function usedMemory(): Promise<number> {
  setFlagsFromString('--expose-gc')
  // zlib frees what it used in the next turn only.
  await setImmediate()
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}
