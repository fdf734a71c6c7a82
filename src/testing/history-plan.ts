import type { SeededRandom } from './history-random.js'

/** What sets and deletes work on. */
export const REGISTERS = ['a', 'b', 'c'] as const
/** What updates count in. */
export const COUNTER = 'count'
export const KEYS: readonly string[] = [...REGISTERS, COUNTER]

/** What one request is going to do. */
export interface Plan {
  readonly server: number
  /** The newest cookie of the visitor; one from before, as a forgotten tab or a thief has; or one of nobody's. */
  readonly cookie: 'newest' | 'old' | 'unknown'
  readonly steps: readonly PlannedStep[]
  /** Whether other responses may overtake this one. */
  readonly isSlow: boolean
  /** Draws what is only known to be needed while the request runs. */
  readonly random: SeededRandom
}

export type PlannedStep =
  | { readonly verb: 'get' | 'set' | 'delete'; readonly key: (typeof REGISTERS)[number] }
  | { readonly verb: 'clear' | 'update' | 'save' | 'terminate' }
  | { readonly verb: 'regenerate'; readonly authenticated: boolean }
  | { readonly verb: 'timeout'; readonly seconds: number }

/** Seconds; 0 is a browser session. */
const TIMEOUTS = [60, 900, 3600, 0] as const

/** How often in a hundred. */
const SHARES = {
  set: 26,
  get: 18,
  update: 22,
  save: 14,
  delete: 9,
  regenerate: 5,
  terminate: 3,
  timeout: 2,
  clear: 1,
} as const

export function drawPlan(random: SeededRandom, servers: number): Plan {
  const onlyReads = random.chance(0.15)
  const steps = Array.from({ length: 1 + random.below(4) }, () =>
    onlyReads ? ({ verb: 'get', key: random.pick(REGISTERS) } as const) : drawStep(random),
  )
  const isUnusual = random.chance(0.1)
  return {
    server: random.below(servers),
    cookie: isUnusual ? random.pick(['old', 'old', 'unknown']) : 'newest',
    steps,
    isSlow: random.chance(0.3),
    random,
  }
}

function drawStep(random: SeededRandom): PlannedStep {
  const verb = drawVerb(random)
  if (verb === 'get' || verb === 'set' || verb === 'delete') return { verb, key: random.pick(REGISTERS) }
  if (verb === 'regenerate') return { verb, authenticated: random.chance(0.5) }
  if (verb === 'timeout') return { verb, seconds: random.pick(TIMEOUTS) }
  return { verb }
}

function drawVerb(random: SeededRandom): keyof typeof SHARES {
  const verbs = Object.entries(SHARES) as [keyof typeof SHARES, number][]
  let left = random.below(verbs.reduce((sum, [, share]) => sum + share, 0))
  for (const [verb, share] of verbs) {
    left -= share
    if (left < 0) return verb
  }
  return 'get'
}
