import { setTimeout as sleep } from 'node:timers/promises'

/** Something that takes its time: the address in `SLOW_URL`, or a second. */
export async function slowService() {
  if (process.env.SLOW_URL) await fetch(process.env.SLOW_URL)
  else await sleep(1000)
}
