import { setTimeout as sleep } from 'node:timers/promises'

/** Something that takes its time: a second, or as long as the service at SLOW_URL. */
export async function slowService(): Promise<void> {
  if (process.env.SLOW_URL) await fetch(process.env.SLOW_URL)
  else await sleep(1000)
}
