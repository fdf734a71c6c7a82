import { setTimeout as sleep } from 'node:timers/promises'

const patience = 20_000

/** Asks again until the answer is yes. For what a server does in its own time and tells nobody. */
export async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + patience
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`Still not so after ${patience} ms: ${isSo.toString()}`)
    await sleep(10)
  }
}
