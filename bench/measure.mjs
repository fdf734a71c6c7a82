import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { casesOf, contestantsOf } from './cases.mjs'
import { Child } from './child.mjs'
import { startRedis } from './redis.mjs'
import { BODY } from './session-values.mjs'

/** Visitors at a time, each with a session of its own: nobody waits for, or competes with, anybody else's. */
const VISITORS = 16
const COUNTED_REQUESTS = 320
/** By then V8 has compiled what there is to compile. */
const WARM_UP_REQUESTS = 15_000

export async function measureAll(options) {
  const folder = await mkdtemp(join(tmpdir(), 'vishnu-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const redis = await startRedis(folder)
  const load = new Child('./load-process.mjs')
  await load.answer()
  const against = options.against && resolve(options.against)
  const start = performance.now()
  try {
    const results = []
    for (const measured of casesOf(options)) {
      process.stderr.write(`${measured.name} …\n`)
      results.push(await measureCase(measured, { ...options, against, folder, redis, load }))
    }
    return { results, options, redisVersion: redis.version, minutes: (performance.now() - start) / 60_000 }
  } finally {
    await load.end()
    await redis.stop()
  }
}

/** Round robin: in each round everybody has one turn, so that whatever else the machine does hits all alike. */
async function measureCase(measured, options) {
  await options.redis.empty()
  const runners = []
  try {
    for (const contestant of contestantsOf(measured, options))
      runners.push(await Runner.start(contestant, measured, options))
    const [{ cookies }] = runners.filter((runner) => runner.cookies)
    for (const runner of runners) runner.cookies ??= cookies

    for (const runner of runners) await runner.warmUp(options)
    for (let round = 0; round < options.rounds; round++) {
      for (const runner of turned(runners, round)) await runner.measure()
    }
    for (const runner of runners) await runner.countCommands(options.redis)
    for (const runner of runners) await runner.check()
    return {
      ...measured,
      contestants: runners.map(({ contestant, turns, commands }) => ({ ...contestant, turns, commands })),
    }
  } finally {
    for (const runner of runners) await runner.end()
  }
}

/** Nobody is always measured after the same neighbour. */
function turned(list, round) {
  const from = (round * 3) % list.length
  return [...list.slice(from), ...list.slice(0, from)]
}

/** One contestant's server in one case. */
class Runner {
  /** One entry a round: microseconds of CPU for each request, and requests each second. */
  turns = []
  commands = {}
  /** Of a contestant that has sessions; a floor is sent somebody else's. */
  cookies
  #server
  #port
  #requests

  static async start(contestant, measured, { folder, redis, load }) {
    const runner = new Runner()
    Object.assign(runner, { contestant, case: measured, load })
    runner.#server = new Child('./server-process.mjs', { ...contestant, ...measured, folder, redisPort: redis.port })
    runner.#port = await runner.#server.answer()
    if (!contestant.contestant.startsWith('floor-')) {
      runner.cookies = []
      for (let index = 0; index < VISITORS; index++) runner.cookies.push(await runner.#newVisitor())
    }
    return runner
  }

  /** Finds out how many requests take as long as a turn should: from then on their number is fixed. */
  async warmUp({ warmUpMs, sliceMs }) {
    let requests = 64
    let done = 0
    for (let spent = 0; spent < warmUpMs && done < WARM_UP_REQUESTS; done += requests) {
      const milliseconds = await this.#visit(requests)
      spent += milliseconds
      this.#requests = Math.max(64, Math.round((requests * sliceMs) / milliseconds))
      requests = Math.min(this.#requests * 2, requests * 4)
    }
  }

  async measure() {
    await this.#server.ask('startClock')
    const milliseconds = await this.#visit(this.#requests)
    const cpu = await this.#server.ask('stopClock')
    this.turns.push({ cpu: cpu / this.#requests, rate: (this.#requests * 1000) / milliseconds })
  }

  async countCommands(redis) {
    const isRedis = this.case.backend === 'redis'
    if (isRedis) await redis.resetCommands()
    else await this.#server.ask('count')
    await this.#visit(COUNTED_REQUESTS)
    const counts = isRedis ? await redis.commands() : await this.#server.ask('counted')
    for (const [name, count] of Object.entries(counts)) this.commands[name] = count / COUNTED_REQUESTS
  }

  /** That the sessions were found, and that the writes were writes. */
  async check() {
    if (this.contestant.contestant.startsWith('floor-') || this.case.action === 'untouched') return
    const body = await (await this.#fetch('/read', this.cookies[0])).text()
    const isInCookie = this.contestant.contestant === 'iron-session'
    const isRight =
      this.case.action === 'read' || isInCookie ? body === BODY : /^visits: \d+$/.test(body) && body !== BODY
    if (!isRight) throw new Error(`${this.contestant.name} does not keep sessions: it read "${body}"`)
  }

  end() {
    return this.#server.end()
  }

  async #newVisitor() {
    const response = await this.#fetch(`/create/${this.case.bytes}`, '')
    await response.text()
    return response.headers
      .getSetCookie()
      .map((cookie) => cookie.split(';')[0])
      .join('; ')
  }

  #fetch(path, cookie) {
    return fetch(`http://127.0.0.1:${this.#port}${path}`, { headers: { cookie, connection: 'close' } })
  }

  #visit(requests) {
    const { action, backend } = this.case
    // Redis needs the processor that spinning would take.
    const spins = backend !== 'redis'
    return this.load.ask({ port: this.#port, path: `/${action}`, cookies: this.cookies, requests, spins })
  }
}
