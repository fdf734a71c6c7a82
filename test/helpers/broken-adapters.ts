import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { Session, Sessions } from '../../src/index.js'
import type { Visit } from '../../src/sessions.js'
import type { HttpCapabilities, ScenarioAnswer, ScenarioHandler, Serve } from '../../src/testing/http-scenario.js'
import { startServer } from './http-server.js'

/*
 * Adapters that are wrong, each in one way in which session middleware has been. What they have in common is right:
 * RightAdapter itself keeps every rule.
 */

/** What is about to be sent. Names of headers are lower-case. */
interface Answer {
  status: number
  headers: Record<string, string | string[]>
  body: string | AsyncIterable<string>
}

/** A right one, as plain as can be: it knows the whole answer before it sends any of it. */
export class RightAdapter {
  readonly serve: Serve = (sessions, handler) =>
    startServer(
      createServer((incoming, outgoing) => {
        this.handle(sessions, handler, incoming, outgoing).catch(() => outgoing.destroy())
      }),
    )

  protected async handle(
    sessions: Sessions,
    handler: ScenarioHandler,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): Promise<void> {
    const visit = sessions.open(this.cookieOf(incoming))
    const answer = await this.answer(sessions, visit, handler, incoming)
    await this.send(outgoing, await this.commit(sessions, visit, answer, incoming))
  }

  protected cookieOf({ headers }: IncomingMessage): string | undefined {
    return headers.cookie
  }

  protected async answer(
    sessions: Sessions,
    visit: Visit,
    handler: ScenarioHandler,
    { method = '', url = '' }: IncomingMessage,
  ): Promise<Answer> {
    try {
      const request = { method, path: url, session: () => visit.session() }
      return complete(await this.run(sessions, visit, () => handler(request)))
    } catch (error) {
      return this.errorAnswer(error)
    }
  }

  protected run<T>(sessions: Sessions, visit: Visit, handler: () => T): T {
    return sessions.run(visit, handler)
  }

  protected errorAnswer(error: unknown): Answer {
    return complete({ status: (error as { status?: number } | undefined)?.status ?? 500, body: 'Something went wrong' })
  }

  protected async commit(
    sessions: Sessions,
    visit: Visit,
    answer: Answer,
    _incoming: IncomingMessage,
  ): Promise<Answer> {
    try {
      const { set, append } = await sessions.commit(visit, (name) => textOf(answer.headers[name]))
      for (const [name, value] of set) this.setHeader(answer, name, value)
      for (const [name, value] of append) this.appendHeader(answer, name, value)
      return answer
    } catch (error) {
      return this.failure(error, answer)
    }
  }

  protected setHeader({ headers }: Answer, name: string, value: string): void {
    headers[name] = value
  }

  protected appendHeader({ headers }: Answer, name: string, value: string): void {
    headers[name] = [headers[name] ?? [], value].flat()
  }

  /** Takes the place of an answer whose session can't be stored. */
  protected failure(_error: unknown, _answer: Answer): Answer {
    return complete({ status: 503, body: 'Service Unavailable' })
  }

  protected async send(outgoing: ServerResponse, { status, headers, body }: Answer): Promise<void> {
    outgoing.writeHead(status, headers)
    if (typeof body === 'string') outgoing.end(body)
    else await pipeline(Readable.from(body), outgoing)
  }
}

function complete({ status, headers = {}, body = '' }: ScenarioAnswer): Answer {
  return { status, headers: { ...headers }, body }
}

function textOf(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'object' ? value.join(', ') : value
}

/** The cookie is known, so why wait? */
class AnswersBeforeStoring extends RightAdapter {
  protected override async commit(sessions: Sessions, visit: Visit, answer: Answer, incoming: IncomingMessage) {
    const committed = super.commit(sessions, visit, answer, incoming)
    return incoming.headers.cookie === undefined ? committed : answer
  }
}

class NeverStores extends RightAdapter {
  protected override async commit(_sessions: Sessions, _visit: Visit, answer: Answer) {
    return answer
  }
}

/** Stores for some answers only. */
class Picky extends RightAdapter {
  readonly #isWorthIt: (answer: Answer, incoming: IncomingMessage) => boolean

  constructor(isWorthIt: (answer: Answer, incoming: IncomingMessage) => boolean) {
    super()
    this.#isWorthIt = isWorthIt
  }

  protected override async commit(sessions: Sessions, visit: Visit, answer: Answer, incoming: IncomingMessage) {
    return this.#isWorthIt(answer, incoming) ? super.commit(sessions, visit, answer, incoming) : answer
  }
}

class OverwritesSetCookie extends RightAdapter {
  protected override appendHeader({ headers }: Answer, name: string, value: string): void {
    headers[name] = value
  }
}

class ReplacesVary extends RightAdapter {
  protected override setHeader(answer: Answer, name: string, value: string): void {
    super.setHeader(answer, name, name === 'vary' ? 'Cookie' : value)
  }
}

class KeepsCacheControl extends RightAdapter {
  protected override setHeader(answer: Answer, name: string, value: string): void {
    if (answer.headers[name] === undefined || name === 'vary') super.setHeader(answer, name, value)
  }
}

/** A "rolling" cookie: with each answer the one that came, unless there is a newer. */
class SendsTheCookieAgain extends RightAdapter {
  protected override async commit(sessions: Sessions, visit: Visit, answer: Answer, incoming: IncomingMessage) {
    const committed = await super.commit(sessions, visit, answer, incoming)
    const [own] = /vishnu=[^;]+/.exec(incoming.headers.cookie ?? '') ?? []
    if (own && committed.headers['set-cookie'] === undefined) committed.headers['set-cookie'] = `${own}; Path=/`
    return committed
  }
}

/** A cookie that leads to no session is of no use, so it is removed: also when the session has just moved. */
class ClearsTheCookiesOfLosers extends RightAdapter {
  protected override async commit(sessions: Sessions, visit: Visit, answer: Answer, incoming: IncomingMessage) {
    const committed = await super.commit(sessions, visit, answer, incoming)
    const isLost = visit.consulted && incoming.headers.cookie !== undefined && !(await visit.session()).started
    if (isLost) committed.headers['set-cookie'] = 'vishnu=; Path=/; Max-Age=0'
    return committed
  }
}

class NeverClearsTheCookie extends RightAdapter {
  protected override appendHeader(answer: Answer, name: string, value: string): void {
    if (!value.includes('Max-Age=0')) super.appendHeader(answer, name, value)
  }
}

/** For a stream the commit comes when all is sent. */
class StoresAfterTheStream extends RightAdapter {
  protected override async commit(sessions: Sessions, visit: Visit, answer: Answer, incoming: IncomingMessage) {
    const { body } = answer
    if (typeof body === 'string') return super.commit(sessions, visit, answer, incoming)
    const commit = super.commit.bind(this)
    async function* andStore(): AsyncIterable<string> {
      yield* body
      await commit(sessions, visit, answer, incoming)
    }
    return { ...answer, body: andStore() }
  }
}

class AnswersAllTheSame extends RightAdapter {
  protected override failure(_error: unknown, answer: Answer): Answer {
    return answer
  }
}

class KeepsPreparedHeaders extends RightAdapter {
  protected override failure(error: unknown, answer: Answer): Answer {
    return { ...super.failure(error, answer), headers: answer.headers }
  }
}

/** To the handler an outage looks like a visitor who has no session. */
class TakesAnOutageForNobody extends RightAdapter {
  protected override answer(sessions: Sessions, visit: Visit, handler: ScenarioHandler, incoming: IncomingMessage) {
    const session = (): Promise<Session> => visit.session().catch(() => sessions.open(undefined).session())
    return super.answer(sessions, visit, (request) => handler({ ...request, session }), incoming)
  }
}

/** "The current request" is a variable of the module. */
class KnowsOneVisitorOnly extends RightAdapter {
  #latest: Visit | undefined

  protected override answer(sessions: Sessions, visit: Visit, handler: ScenarioHandler, incoming: IncomingMessage) {
    this.#latest = visit
    const session = (): Promise<Session> => (this.#latest ?? visit).session()
    return super.answer(sessions, visit, (request) => handler({ ...request, session }), incoming)
  }
}

class OpensEverySession extends RightAdapter {
  protected override async answer(
    sessions: Sessions,
    visit: Visit,
    handler: ScenarioHandler,
    incoming: IncomingMessage,
  ): Promise<Answer> {
    await visit.session()
    return super.answer(sessions, visit, handler, incoming)
  }
}

/** Cookies parsed into an object: one for each name. */
class KnowsOneCookieOfAName extends RightAdapter {
  protected override cookieOf(incoming: IncomingMessage): string | undefined {
    return super.cookieOf(incoming)?.split('; ')[0]
  }
}

export const brokenAdapters = {
  'an answer that does not wait for the store': () => new AnswersBeforeStoring(),
  'no commit': () => new NeverStores(),
  'no commit on redirects': () => new Picky(({ headers }) => headers['location'] === undefined),
  'no commit on errors of the client': () => new Picky(({ status }) => status < 400 || status >= 500),
  'no commit on errors of the server': () => new Picky(({ status }) => status < 500),
  'no commit on HEAD': () => new Picky((_, { method }) => method !== 'HEAD'),
  'a commit after the stream': () => new StoresAfterTheStream(),
  'a Set-Cookie that overwrites others': () => new OverwritesSetCookie(),
  "a Vary that replaces the application's": () => new ReplacesVary(),
  'a Cache-Control that is left as it is': () => new KeepsCacheControl(),
  'a cookie that is sent again with each answer': () => new SendsTheCookieAgain(),
  'a cookie that is removed by whoever lost the session': () => new ClearsTheCookiesOfLosers(),
  'a cookie that stays after log-out': () => new NeverClearsTheCookie(),
  'no commit once the visitor has left': () => new Picky((_, { socket }) => !socket.destroyed),
  'an answer although nothing was stored': () => new AnswersAllTheSame(),
  'an answer of 503 with the headers that were prepared': () => new KeepsPreparedHeaders(),
  'an outage taken for no session': () => new TakesAnOutageForNobody(),
  'one visitor at a time': () => new KnowsOneVisitorOnly(),
  'a session opened for every request': () => new OpensEverySession(),
  'one cookie of a name': () => new KnowsOneCookieOfAName(),
}

class SetsNoCookie extends RightAdapter {
  protected override run<T>(sessions: Sessions, visit: Visit, handler: () => T): T {
    visit.headersAreSent()
    return super.run(sessions, visit, handler)
  }

  protected override appendHeader(): void {
    // Nobody would send it.
  }
}

class SetsNoHeaders extends RightAdapter {
  protected override setHeader(): void {
    // Nobody would send it.
  }
}

class ForgetsTheBody extends RightAdapter {
  protected override async send(outgoing: ServerResponse, { status, headers, body }: Answer): Promise<void> {
    outgoing.writeHead(status, headers)
    if (typeof body === 'string') return void outgoing.end(body)
    const pieces = body[Symbol.asyncIterator]()
    // A response that is closed never drains.
    for (let piece = await pieces.next(); !piece.done; piece = await pieces.next()) {
      if (!outgoing.write(piece.value) || outgoing.destroyed) await once(outgoing, 'drain')
    }
    outgoing.end()
  }
}

class CollectsTheBody extends RightAdapter {
  protected override async send(outgoing: ServerResponse, answer: Answer): Promise<void> {
    await super.send(outgoing, {
      ...answer,
      body: typeof answer.body === 'string' ? answer.body : await text(answer.body),
    })
  }
}

class LosesChangesOnError extends RightAdapter {
  #failed = new WeakSet<Answer>()

  protected override errorAnswer(error: unknown): Answer {
    const answer = super.errorAnswer(error)
    this.#failed.add(answer)
    return answer
  }

  protected override async commit(sessions: Sessions, visit: Visit, answer: Answer, incoming: IncomingMessage) {
    return this.#failed.has(answer) ? answer : super.commit(sessions, visit, answer, incoming)
  }
}

/** A race between the handler and the visitor's patience. */
class StopsWhenTheVisitorLeaves extends RightAdapter {
  protected override answer(sessions: Sessions, visit: Visit, handler: ScenarioHandler, incoming: IncomingMessage) {
    const left = once(incoming.socket, 'close').then(() => Promise.reject(new Error('The visitor has left')))
    left.catch(() => undefined)
    return super.answer(sessions, visit, (request) => Promise.race([handler(request), left]), incoming)
  }
}

class AnswersErrorsWith500 extends RightAdapter {
  protected override errorAnswer(): Answer {
    return super.errorAnswer(undefined)
  }
}

class RunsWithoutContext extends RightAdapter {
  protected override run<T>(_sessions: Sessions, _visit: Visit, handler: () => T): T {
    return handler()
  }
}

/** Adapters that lack one capability, and nothing else. */
export const limitedAdapters: Readonly<Record<keyof HttpCapabilities, () => RightAdapter>> = {
  cookie: () => new SetsNoCookie(),
  headers: () => new SetsNoHeaders(),
  stream: () => new CollectsTheBody(),
  cancel: () => new ForgetsTheBody(),
  commitOnError: () => new LosesChangesOnError(),
  finishHandler: () => new StopsWhenTheVisitorLeaves(),
  errorStatus: () => new AnswersErrorsWith500(),
  asyncContext: () => new RunsWithoutContext(),
}
