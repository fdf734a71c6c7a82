import type { Session, Sessions } from '../../src/index.js'
import { type Answer, begin, endingOf } from './contract-requests.js'

export type Work = (session: Session) => unknown

/** Many rounds at a time, since a real server is asked over and over. */
export async function rounds(count: number, atOnce: number, play: (round: number) => Promise<void>): Promise<void> {
  for (let first = 0; first < count; first += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, count - first) }, (_, index) => play(first + index)))
  }
}

/** How a slow request may lie to a short one. */
export const orders = ['it responds after the other', 'both respond at once', 'it arrives after the other'] as const
export type Order = (typeof orders)[number]

export interface Slow {
  /** The keys that the slow request found. */
  readonly found: string[]
  /** 'done', or the error's code. */
  readonly ending: unknown
  readonly answer: Answer
}

/** Runs a slow request and a short one, overlapping as told. */
export async function overlap<T>(
  order: Order,
  slow: { sessions: Sessions; cookie: string; work: Work },
  short: () => Promise<T>,
): Promise<[Slow, T]> {
  const arrive = async (): Promise<() => Promise<Slow>> => {
    const { session, respond } = await begin(slow.sessions, slow.cookie)
    const found = session.keys()
    return async () => {
      const ending = await endingOf(() => slow.work(session))
      return { found, ending, answer: await respond() }
    }
  }
  if (order === 'it arrives after the other') {
    const result = await short()
    const finish = await arrive()
    return [await finish(), result]
  }
  const finish = await arrive()
  if (order === 'both respond at once') return Promise.all([finish(), short()])
  const result = await short()
  return [await finish(), result]
}
