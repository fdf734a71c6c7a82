import { clearTimeout, setTimeout } from 'node:timers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Lane } from './history-order.js'
import { COUNTER, KEYS, type Plan, type PlannedStep } from './history-plan.js'
import {
  BrokenRule,
  type HistoryRule,
  type Incarnation,
  type Lineage,
  registerOf,
  type RequestFacts,
  type Step,
} from './history-record.js'
import { readValue, RequestView, type Seen } from './history-view.js'
import {
  chooseCookie,
  type CommitHeaders,
  type KnownCookie,
  rememberCookie,
  type TestedServer,
  type TestedSession,
  type Visitor,
  type World,
} from './history-world.js'

/** How long a request may take, in real milliseconds, before it counts as hanging: no busy machine should look like it. */
const PATIENCE = 60_000
/** How long a log-out is known to reach a session that another request has moved to a new id. */
const TOMBSTONE_MS = 300_000

type Outcome = 'done' | 'gone' | 'failed'

/** Plays one request, as an adapter and a handler do, and records it. */
export async function playRequest(world: World, lane: Lane, visitor: Visitor, plan: Plan): Promise<void> {
  const cookie = await chooseCookie(world, visitor, plan)
  const run = new RequestRun(world, lane, visitor, plan, cookie)
  await run.play()
}

class RequestRun {
  readonly #world: World
  readonly #visitor: Visitor
  readonly #plan: Plan
  readonly #server: TestedServer
  readonly #cookie: KnownCookie | undefined
  readonly #facts: RequestFacts
  readonly #view = new RequestView()
  readonly #startClock: number
  /** What the operator was told since the last step began. */
  #events: string[] = []
  #tags = 0

  /** The session that this request holds, while it does. */
  #incarnation: Incarnation | undefined
  /** What a log-out would end: also a session that this request has lost. */
  #ended: { readonly incarnation: Incarnation; readonly wasLive: boolean } | undefined
  #rotation = false
  #hasIssued = false
  #hasTerminated = false

  constructor(world: World, lane: Lane, visitor: Visitor, plan: Plan, cookie: KnownCookie | undefined) {
    this.#world = world
    this.#visitor = visitor
    this.#plan = plan
    this.#server = world.servers[plan.server] as TestedServer
    this.#cookie = cookie
    this.#facts = { number: ++world.requests, client: lane.client, server: plan.server, cookie: cookie?.number }
    this.#startClock = world.now()
    lane.onEvent = (type) => this.#events.push(type)
  }

  async play(): Promise<void> {
    const { sessions } = this.#server
    const visit = sessions.open(this.#cookie?.text)
    const session = await this.#load(visit)
    if (session) {
      // A log-in page: the only way on for a visitor whose session has ended.
      if (!this.#incarnation && this.#plan.random.chance(0.5)) this.#regenerate(session, true)
      for (const planned of this.#plan.steps) {
        const outcome = await this.#do(session, planned)
        // The handler has crashed; no response will follow. Not always: others go on with what they have.
        if (outcome === 'failed' && (this.#rotation || this.#plan.random.chance(0.5))) return
        if (outcome === 'failed') this.#setAnew(session)
      }
    }
    await this.#commit(visit, session)
  }

  async #load(visit: { session(): Promise<TestedSession> }): Promise<TestedSession | undefined> {
    const step = this.#begin('asks for the session')
    let session: TestedSession | undefined
    const outcome = await this.#attempt(step, async () => {
      session = await visit.session()
    })
    if (!session || outcome === 'failed') return this.#end(step, 'unavailable')
    if (this.#events.includes('corrupt')) {
      this.#ended = this.#cookie?.incarnation && { incarnation: this.#cookie.incarnation, wasLive: false }
      this.#end(step, 'finds it damaged')
      return session
    }
    const expected = this.#cookie?.incarnation
    if (!session.started) {
      this.#ended = expected && { incarnation: expected, wasLive: false }
      this.#end(step, 'finds none')
      expected?.loads.push({ step, found: 'none' })
      return session
    }
    this.#end(step, 'finds one')
    if (this.#cookie === undefined)
      this.#broken('no session of another visitor', 'A request without a cookie got a session', step)
    if (expected === undefined)
      this.#broken('unknown ids are not adopted', 'There is a session under an id that nobody has issued', step)
    if (expected.publicId !== session.publicId) {
      this.#broken('no session of another visitor', 'A cookie led to the session of another one', step)
    }
    expected.loads.push({ step, found: 'live' })
    this.#hold(expected)
    this.#observe(session, step)
    return session
  }

  async #do(session: TestedSession, planned: PlannedStep): Promise<Outcome> {
    switch (planned.verb) {
      case 'get':
        return this.#get(session, planned.key)
      case 'set':
        this.#set(session, planned.key)
        return 'done'
      case 'delete':
        session.delete(planned.key)
        this.#view.delete(planned.key)
        this.#note(`deletes ${planned.key}`)
        return 'done'
      case 'clear':
        session.clear()
        this.#view.clear()
        this.#note('clears')
        return 'done'
      case 'timeout':
        session.timeout = planned.seconds
        this.#view.timeout = planned.seconds
        this.#note(`sets the timeout to ${planned.seconds} s`)
        return 'done'
      case 'regenerate':
        this.#regenerate(session, planned.authenticated)
        return 'done'
      case 'update':
        return this.#update(session)
      case 'save':
        return this.#save(session)
      case 'terminate':
        return this.#terminate(session)
    }
  }

  #get(session: TestedSession, key: string): Outcome {
    const expected = this.#view.tag(key)
    const step = this.#begin(`gets ${key}`)
    const { tag } = this.#read(session.get(key), key, step)
    this.#end(step, String(tag))
    if (tag !== expected) {
      this.#broken(
        'a request reads its own writes',
        `It should have got ${String(expected)}, but got ${String(tag)}`,
        step,
      )
    }
    return 'done'
  }

  #set(session: TestedSession, key: string): void {
    const tag = this.#newTag()
    // A second member with a name of its own: what merges values instead of replacing them leaves two.
    session.set(key, { by: tag, [tag]: true })
    this.#view.set(key, tag)
    this.#note(`sets ${key} = ${tag}`)
  }

  #regenerate(session: TestedSession, authenticated: boolean): void {
    session.regenerate({ authenticated })
    this.#rotation = true
    this.#note('regenerates')
  }

  /** After a failure what was to be stored may be stored or not: what is stored later must not look the same. */
  #setAnew(session: TestedSession): void {
    for (const key of this.#view.pendingSets()) this.#set(session, key)
  }

  async #save(session: TestedSession): Promise<Outcome> {
    const step = this.#begin(`saves ${this.#view.describe(this.#rotation)}`)
    const outcome = await this.#attempt(step, () => session.save())
    this.#end(step, outcome === 'done' ? 'stored' : outcome)
    this.#account(session, step, outcome, true)
    return outcome
  }

  async #update(session: TestedSession): Promise<Outcome> {
    const tag = this.#newTag()
    const wasCovered = this.#view.covers(COUNTER)
    const step = this.#begin(`updates ${COUNTER} to ${tag}${this.#rotation ? ', under a new id' : ''}`)
    let base: Seen = { tag: undefined, count: 0 }
    const outcome = await this.#attempt(step, () =>
      session.update(COUNTER, (current) => {
        base = this.#read(current, COUNTER, step)
        return { by: tag, n: base.count + 1 }
      }),
    )
    this.#end(step, outcome === 'done' ? `${base.count + 1}, on top of ${String(base.tag)}` : outcome)

    const writesTo = this.#changeHolder(session, step, outcome, true)
    if (writesTo) {
      if (wasCovered) writesTo.wasCleared = true
      if (this.#view.timeout !== undefined) writesTo.timeouts.add(this.#view.timeout)
      const register = registerOf(writesTo, COUNTER)
      const span = { start: step.start, end: outcome === 'done' ? step.end : Infinity, step }
      register.writes.push({ ...span, tag, base: base.tag, isUpdate: true })
      if (outcome === 'done' && !wasCovered) register.reads.push({ ...base, ...span })
    }
    if (outcome === 'done') {
      this.#view.stored(COUNTER, { tag, count: base.count + 1 })
      this.#observe(session, step)
    }
    return outcome
  }

  async #terminate(session: TestedSession): Promise<Outcome> {
    const step = this.#begin('terminates')
    const outcome = await this.#attempt(step, () => session.terminate())
    this.#end(step, outcome === 'done' ? 'ended' : outcome)
    if (this.#ended) {
      const { incarnation, wasLive } = this.#ended
      const isCertain = outcome === 'done' && wasLive && this.#world.now() - this.#startClock < TOMBSTONE_MS
      incarnation.lineage.terminations.push({
        start: step.start,
        end: isCertain ? step.end : Infinity,
        step,
        incarnation,
      })
    }
    if (outcome === 'done') {
      this.#incarnation = this.#ended = undefined
      this.#hasTerminated = true
      this.#rotation = this.#hasIssued = false
      this.#view.reset()
    }
    return outcome
  }

  async #commit(visit: object, session: TestedSession | undefined): Promise<void> {
    const { sessions, autoSave } = this.#server
    const step = this.#begin(`responds${session && autoSave ? `, storing ${this.#view.describe(this.#rotation)}` : ''}`)
    let headers: CommitHeaders = { append: [] }
    let outcome = await this.#attempt(step, async () => {
      headers = await sessions.commit(visit, () => undefined)
    })
    if (outcome === 'done' && this.#events.includes('gone')) outcome = 'gone'
    const lines = headers.append.filter(([name]) => name === 'set-cookie').map(([, line]) => line)
    const [line] = lines
    const isCleared = line?.includes('Max-Age=0') === true
    const cookieText = line === undefined ? 'no cookie' : isCleared ? 'the cookie is cleared' : 'a cookie is set'
    this.#end(step, `${outcome}; ${cookieText}`)
    if (session) this.#account(session, step, outcome, autoSave)

    const rule = 'a cookie only for own deeds'
    if (lines.length > 1) this.#broken(rule, 'A response had several cookies', step)
    if (isCleared && !this.#hasTerminated)
      this.#broken(rule, 'A response cleared the cookie, but its request did not log out', step)
    if (line !== undefined && !isCleared && !this.#incarnation)
      this.#broken(rule, 'A response set the cookie without having a session', step)
    if (line === undefined && this.#hasIssued && outcome === 'done')
      this.#broken(rule, 'A new id was not sent to the browser', step)
    if (line === undefined) return
    if (this.#plan.isSlow) await this.#world.order.call(nextTurn, 'response')
    if (isCleared) this.#visitor.newest = undefined
    else
      this.#visitor.newest = rememberCookie(this.#world, this.#visitor, line.split(';', 1)[0] ?? '', this.#incarnation)
  }

  /** Records what a save or a commit has done. */
  #account(session: TestedSession, step: Step, outcome: Outcome, stores: boolean): void {
    const writes = stores ? this.#view.writes() : []
    const setsValues = writes.some(([, tag]) => tag !== undefined)
    const changes = writes.length > 0 || (stores && this.#view.timeout !== undefined)
    const isWritten = this.#incarnation ? changes || this.#rotation : setsValues
    const lineage = this.#changeHolder(session, step, outcome, setsValues, changes)
    if (!lineage) return
    const span = { start: step.start, end: outcome === 'done' ? step.end : Infinity, step }
    for (const [key, tag] of writes) registerOf(lineage, key).writes.push({ ...span, tag, isUpdate: false })
    if (this.#view.timeout !== undefined) lineage.timeouts.add(this.#view.timeout)
    if (stores && this.#view.isCleared) lineage.wasCleared = true
    if (outcome !== 'done') return
    if (stores) this.#view.settle()
    // If nothing was written, nothing may have been read either: what is seen may be as old as the request.
    if (this.#incarnation) this.#observe(session, isWritten ? step : undefined)
  }

  /**
   * The session whose values a store has changed, or may have changed; undefined if it can't have changed any that
   * somebody will see.
   */
  #changeHolder(
    session: TestedSession,
    step: Step,
    outcome: Outcome,
    setsValues: boolean,
    changes = setsValues,
  ): Lineage | undefined {
    const held = this.#incarnation
    if (!held) {
      if (outcome !== 'done' || !setsValues) return undefined
      this.#rotation = false
      this.#issue(step, this.#world.recorder.lineage(session.publicId, this.#world.timeout), session.publicId)
      return this.#incarnation?.lineage
    }
    const { lineage } = held
    lineage.uses.push(step)
    const rotates = this.#rotation
    if (outcome === 'done') {
      if (rotates || changes) {
        held.stores.push(step)
        lineage.stores.push(step)
      }
      if (rotates) {
        held.rotations.push({ start: step.start, end: step.end, step })
        this.#rotation = false
        this.#issue(step, lineage, this.#world.isPlain ? session.publicId : held.publicId)
      }
    } else {
      if (rotates) held.rotations.push({ start: step.start, end: Infinity, step })
      if (outcome === 'gone') this.#lose()
    }
    return lineage
  }

  #issue(step: Step, lineage: Lineage, publicId: string): void {
    this.#hasIssued = true
    lineage.uses.push(step)
    lineage.stores.push(step)
    this.#hold(this.#world.recorder.incarnation(lineage, publicId))
  }

  #hold(incarnation: Incarnation): void {
    this.#incarnation = incarnation
    this.#ended = { incarnation, wasLive: true }
  }

  #lose(): void {
    this.#incarnation = undefined
    this.#hasIssued = false
    this.#view.lose()
  }

  /**
   * Takes note of the session's values as far as this request does not hide them by its own changes, and records them as
   * what was in the store during the step, if there is one.
   */
  #observe(session: TestedSession, step: Step | undefined): void {
    const { lineage } = this.#incarnation as Incarnation
    const values = new Map(session.entries())
    for (const key of KEYS) {
      if (this.#view.covers(key)) continue
      const seen = this.#read(values.get(key), key, step)
      this.#view.stored(key, seen)
      if (step) registerOf(lineage, key).reads.push({ ...seen, start: step.start, end: step.end, step })
    }
  }

  #read(value: unknown, key: string, step: Step | undefined): Seen {
    const seen = readValue(value, key)
    if (seen) return seen
    return this.#broken('values stay whole', `${key} is ${JSON.stringify(value)}, which nobody has set`, step)
  }

  /** Only an outage, where there may be one, and the news that the session has ended, are no surprise. */
  async #attempt(step: Step, work: () => Promise<unknown>): Promise<Outcome> {
    this.#events = []
    let timer: NodeJS.Timeout | undefined
    const hanging = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new BrokenRule('only outages fail', `A request still hung after ${PATIENCE / 1000} s`, [step]))
      }, PATIENCE)
    })
    try {
      await Promise.race([work(), hanging])
      return this.#count(step, 'done')
    } catch (error) {
      if (error instanceof BrokenRule) throw error
      const { code } = error as { code?: unknown }
      if (code === 'ERR_SESSION_GONE') return this.#count(step, 'gone')
      if (code === 'ERR_BACKEND' && this.#world.mayFail) return this.#count(step, 'failed')
      this.#end(step, String(error))
      return this.#broken('only outages fail', `A request failed with ${String(error)}`, step)
    } finally {
      clearTimeout(timer)
    }
  }

  #count({ action }: Step, outcome: Outcome): Outcome {
    const { outcomes } = this.#world
    const name = `${action.split(/[ ,]/)[0]}: ${outcome}`
    outcomes.set(name, (outcomes.get(name) ?? 0) + 1)
    return outcome
  }

  #begin(action: string): Step {
    return this.#world.recorder.begin(this.#facts, action)
  }

  #end(step: Step, outcome: string): undefined {
    this.#world.recorder.end(step, outcome)
  }

  #note(action: string): void {
    this.#end(this.#begin(action), 'noted')
  }

  #newTag(): string {
    return `${this.#facts.number}.${++this.#tags}`
  }

  #broken(rule: HistoryRule, message: string, step: Step | undefined): never {
    throw new BrokenRule(rule, message, step ? [step] : [])
  }
}
