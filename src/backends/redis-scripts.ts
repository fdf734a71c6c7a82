/** What our scripts answer. Anything else: another version is there. */
export const DONE = 1
export const GONE = -1

export const MAX_VALUE_BYTES: number = 512 * 1024 * 1024

/** How long Redis keeps what has expired: its clock need not agree with ours, which decides. */
const SLACK_MS = 60_000

export function timeToLive(deadline: number, now: number): string {
  return String(Math.max(1, Math.trunc(deadline - now)) + SLACK_MS)
}
