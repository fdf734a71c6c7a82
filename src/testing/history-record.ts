import { createHash } from 'node:crypto'

/*
 * What a history is made of. Times are ticks: a counter that moves with everything that is recorded, so that of two steps
 * one came after the other exactly if it began at a later tick than the other ended.
 */

/** When something happened: somewhere between two ticks. `end` is Infinity if nobody knows whether, or when, it did. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** One thing that a request did, for the story. */
export interface Step {
  readonly request: RequestFacts
  readonly action: string
  readonly start: number
  end: number
  outcome: string
  /** Milliseconds since the history began, by the clock of the servers. */
  readonly clockStart: number
  clockEnd: number
}

/** In place of a client: when all have ended. */
export const AFTERWARDS = -1

export interface RequestFacts {
  readonly number: number
  readonly client: number
  readonly server: number
  /** Which of the cookies of this history it brought; undefined for none. */
  readonly cookie: number | undefined
}

/** A value that somebody has stored, or a removal. Every value is unique: its tag says who stored it. */
export interface Write extends Span {
  /** Undefined for a removal. */
  readonly tag: string | undefined
  readonly step: Step
  /** Of an update: what it was given to build on. */
  readonly base?: string | undefined
  readonly isUpdate: boolean
}

/** A key as somebody has seen it in the store. */
export interface Read extends Span {
  readonly tag: string | undefined
  /** Of a counter. */
  readonly count: number
  readonly step: Step
}

export interface Register {
  readonly writes: Write[]
  readonly reads: Read[]
}

/** A log-out or a rotation. Its span's end is Infinity if it may or may not have ended the session. */
export interface Ending extends Span {
  readonly step: Step
}

export interface Termination extends Ending {
  /** Under which id the session was known to the request that logged out. */
  readonly incarnation: Incarnation
}

/** A session under one id. */
export interface Incarnation {
  readonly lineage: Lineage
  readonly publicId: string
  /** The rotations away from this id. */
  readonly rotations: Ending[]
  /** Everything that was stored under this id and acknowledged. */
  readonly stores: Step[]
  /** Every time its cookie was brought, and the backend answered. */
  readonly loads: Load[]
}

/** A cookie brought, and what was found behind it. */
export interface Load {
  readonly step: Step
  readonly found: 'live' | 'none'
}

/** A session with all the ids that it has had. */
export interface Lineage {
  readonly registers: Map<string, Register>
  readonly terminations: Termination[]
  /** Every step that may have moved its deadline. */
  readonly uses: Step[]
  /** Those of them that have stored something, and were told so. */
  readonly stores: Step[]
  /** Seconds: every timeout that it may have had. */
  readonly timeouts: Set<number>
  wasCleared: boolean
}

/** What went wrong, and the steps that show it. */
export interface Violation {
  readonly rule: HistoryRule
  readonly message: string
  readonly steps: readonly Step[]
}

/** The rules that a history is checked against. */
export type HistoryRule = keyof typeof historyRules

/** Each in the words of the contract. */
export const historyRules = {
  'nothing is lost': 'a session that nobody ended, and that has not expired, is found',
  'nothing is reverted': 'what was acknowledged is read until something else is stored under its key',
  'updates count once': 'no two updates build on the same value, and the counter says how many there were',
  'a terminated session never comes back': 'after terminate() has resolved nobody finds or changes the session',
  'a rotated id leads nowhere': 'after regenerate() was stored nobody finds or changes anything under the old id',
  'gone stays gone': 'an id behind which somebody found nothing never leads anywhere again',
  'deadlines are kept': 'no session is found after its timeout',
  'no session of another visitor': 'a cookie leads to the session that it was issued for, and to values stored there',
  'unknown ids are not adopted': 'a cookie that these servers have not issued leads to no session, before and after',
  'a cookie only for own deeds': 'a response sets or clears the cookie only for what its request did',
  'values stay whole': 'a value is read as it was set',
  'a request reads its own writes': 'what a request set or removed is what it gets',
  'only outages fail': 'a request fails only if the backend did, with a typed error, and it does not hang',
} as const

/** Thrown by the client at once, where no checking is needed to see it. */
export class BrokenRule extends Error {
  readonly violation: Violation

  constructor(rule: HistoryRule, message: string, steps: readonly Step[]) {
    super(message)
    this.violation = { rule, message, steps }
  }
}

/** Writes down what happens. */
export class Recorder {
  readonly lineages: Map<string, Lineage> = new Map()
  readonly incarnations: Incarnation[] = []
  readonly #now: () => number
  readonly #digest = createHash('sha256')
  #tick = 0
  #operations = 0

  constructor(now: () => number) {
    this.#now = now
  }

  get operations(): number {
    return this.#operations
  }

  begin(request: RequestFacts, action: string): Step {
    const clock = this.#now()
    this.#operations++
    return {
      request,
      action,
      start: ++this.#tick,
      end: Infinity,
      outcome: 'never answered',
      clockStart: clock,
      clockEnd: clock,
    }
  }

  end(step: Step, outcome: string): void {
    step.end = ++this.#tick
    step.outcome = outcome
    step.clockEnd = this.#now()
    this.#digest.update(lineOf(step))
  }

  /** Equal for equal histories. */
  digest(): string {
    return this.#digest.copy().digest('base64url')
  }

  lineage(publicId: string, timeout: number): Lineage {
    const known = this.lineages.get(publicId)
    if (known) return known
    const lineage: Lineage = {
      registers: new Map(),
      terminations: [],
      uses: [],
      stores: [],
      timeouts: new Set([timeout]),
      wasCleared: false,
    }
    this.lineages.set(publicId, lineage)
    return lineage
  }

  incarnation(lineage: Lineage, publicId: string): Incarnation {
    const incarnation: Incarnation = { lineage, publicId, rotations: [], stores: [], loads: [] }
    this.incarnations.push(incarnation)
    return incarnation
  }
}

export function registerOf(lineage: Lineage, key: string): Register {
  const known = lineage.registers.get(key)
  if (known) return known
  const register: Register = { writes: [], reads: [] }
  lineage.registers.set(key, register)
  return register
}

/** Those steps in the order in which they began, one a line. */
export function storyOf(steps: readonly Step[]): string {
  const inOrder = [...new Set(steps)].toSorted((one, other) => one.start - other.start)
  return inOrder.map(lineOf).join('\n')
}

function lineOf({ request, action, start, end, outcome, clockStart }: Step): string {
  const { number, client, server, cookie } = request
  const brought = cookie === undefined ? 'no cookie' : `cookie ${cookie}`
  const ticks = `${start}-${end === Infinity ? '?' : end}`.padStart(9)
  const clock = `${(clockStart / 1000).toFixed(3)} s`.padStart(10)
  const who = client === AFTERWARDS ? 'when all is over' : `client ${client}`
  return `${ticks} ${clock}  request ${number} (${who}, server ${server}, ${brought}) ${action}: ${outcome}`
}
