import { setTimeout } from 'node:timers/promises'

/** Stands for whatever takes its time. */
export function slowService() {
  return process.env.SLOW_URL ? fetch(process.env.SLOW_URL) : setTimeout(1000)
}
