import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { decodeRecord, type PythonRecord } from '../../src/dialects/vishnu-python/record.js'
import { createSessions, type Session, TIMEOUT_SESSION } from '../../src/index.js'
import { sessionMiddleware } from '../../src/adapters/node.js'
import { Browser, type BrowserResponse } from './browser.js'
import { manualClock } from './clock.js'
import { startServer } from './http-server.js'
import {
  type RecordedOperation,
  type RecordedRequest,
  type Scenario,
  SCENARIO_START,
  secret,
} from './python-middleware.js'
import { pythonCookie, type SharedRedis } from './python-sharing.js'

/** What a request of a scenario came to. */
export interface Outcome {
  readonly status: number
  /** Of each operation; of one that failed the error's code or name. */
  readonly results: readonly unknown[]
  readonly setCookies: readonly string[]
  /** The id and the end of the cookie that the browser has afterwards. */
  readonly kept: { readonly id: string; readonly expires: number | undefined } | undefined
  /** By id. */
  readonly stored: Readonly<Record<string, PythonRecord>>
}

/** Of a cookie that is sealed correctly and leads to nothing. */
export const FORGED_ID = 'f'.repeat(32)

interface Options {
  touchInterval?: number
  /** A request without a cookie is from the same browser, which had lost Python's. Else it is from another one. */
  hasOneBrowser?: boolean
}

/** Runs a scenario's requests through a server of `node:http`, whose sessions are in the Redis that Python would share. */
export async function runScenario(
  { config, requests }: Scenario,
  shared: SharedRedis,
  { touchInterval, hasOneBrowser = false }: Options = {},
): Promise<Outcome[]> {
  const clock = manualClock(SCENARIO_START)
  const sessions = createSessions({
    ...shared.options(),
    secret,
    autoSave: config.auto_save,
    timeout: config.timeout,
    touchInterval,
    sameSite: 'omit',
    clock: clock.now,
    onEvent: () => undefined,
  })
  const middleware = sessionMiddleware(sessions)
  let ops: readonly RecordedOperation[] = []
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const results: unknown[] = []
    // A handler without operations does not ask for the session either.
    const session = ops.length > 0 && (await sessions.get(request))
    if (session) for (const op of ops) results.push(await attempt(session, response, op))
    response.end(JSON.stringify(results))
  }
  const server = await startServer(
    createServer((request, response) => {
      middleware(request, response, () => {
        handle(request, response).catch((error: unknown) => response.writeHead(500).end(JSON.stringify(String(error))))
      })
    }),
  )

  const outcomes: Outcome[] = []
  let browser = new Browser({ now: clock.now })
  let lastCookie = `vishnu=${pythonCookie(FORGED_ID, secret)}`
  try {
    for (const request of requests) {
      clock.set(SCENARIO_START + request.at * 1000)
      ops = request.ops
      if (request.sent === null && !hasOneBrowser) browser = new Browser({ now: clock.now })
      lastCookie = browser.jar.header(new URL(server.origin)) ?? lastCookie
      const answer = await browser.get(server.origin, { headers: cookieHeader(request, lastCookie) })
      outcomes.push({ ...outcomeOf(answer, browser), stored: await storedIn(shared) })
      lastCookie = browser.jar.header(new URL(server.origin)) ?? lastCookie
    }
  } finally {
    await server.close()
  }
  return outcomes
}

/** Some clients are recorded to send a cookie that a browser would have dropped, or one whose MAC is wrong. */
function cookieHeader({ sent }: RecordedRequest, lastCookie: string): { cookie?: string } {
  if (sent === null) return {}
  if (sent !== 'tampered') return { cookie: lastCookie }
  return { cookie: lastCookie.replace(/(?<==)./, (first) => (first === '0' ? '1' : '0')) }
}

function outcomeOf({ status, body, setCookies }: BrowserResponse, { jar }: Browser): Omit<Outcome, 'stored'> {
  const [kept] = jar.all()
  return {
    status,
    results: JSON.parse(body) as unknown[],
    setCookies,
    kept: kept && { id: kept.value.slice(-32), expires: kept.expiresAt },
  }
}

async function storedIn({ raw }: SharedRedis): Promise<Record<string, PythonRecord>> {
  const stored: Record<string, PythonRecord> = {}
  for (const id of await raw.keys('*')) stored[id] = decodeRecord((await raw.getBuffer(id)) ?? new Uint8Array())
  return stored
}

async function attempt(session: Session, response: ServerResponse, op: RecordedOperation): Promise<unknown> {
  try {
    return (await operate(session, response, op)) ?? null
  } catch (error) {
    return (error as { code?: string }).code ?? (error as Error).name
  }
}

function operate(session: Session, response: ServerResponse, [name, ...args]: RecordedOperation): unknown {
  const [key, value] = args as [string, unknown]
  switch (name) {
    case 'get':
      return session.get(key)
    case 'set':
      return session.set(key, value)
    case 'mutate':
      return (session.get(key) as unknown[]).push(value)
    case 'save':
    case 'terminate':
      return session[name]()
    case 'started':
      return session.started
    case 'needs_save':
      return session.needsSave
    case 'timeout':
      return session.timeout
    case 'set_timeout':
      session.timeout = key === 'timeout_session' ? TIMEOUT_SESSION : Number(key)
      return undefined
    case 'start_response':
      response.writeHead(startedStatus([name, ...args]))
      return undefined
    default:
      throw new RangeError(`What is ${name}?`)
  }
}

function startedStatus([, status = '200 OK']: RecordedOperation): number {
  return Number.parseInt(String(status), 10)
}

/** The application's own: a session that fails would make it a 500 or a 503. */
export function statusOf({ ops }: RecordedRequest): number {
  return startedStatus(ops.find(([name]) => name === 'start_response') ?? ['start_response'])
}
