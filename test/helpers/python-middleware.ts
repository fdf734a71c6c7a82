import { readFixture, type Recorded } from './python-fixtures.js'

/** What the Python library's middleware was configured with. */
interface RecordedConfig {
  secret: string
  cookie_name: string
  encrypt_key: string | null
  domain: string | null
  path?: string
  secure: boolean
  http_only: boolean
  timeout: number | null
}

export type RecordedOperation = [name: string, ...args: unknown[]]

/** The Set-Cookie header that follows from these operations on a new session. */
export interface RecordedHeader {
  id: string
  /** UTC, without a zone. */
  clock: string
  config: RecordedConfig
  sid: string
  ops: RecordedOperation[]
  header: string | null
  /** Hexadecimal. */
  iv?: string
  expected: 'exact' | 'exact-or-corrected' | 'refuse' | 'either'
}

export interface RecordedCookieSent {
  sid: string
  expires: string | null
  deletes: boolean
}

export interface RecordedRequest {
  /** Seconds after {@link SCENARIO_START}. */
  at: number
  /** The label of the session whose cookie came with the request. */
  sent: string | null
  ops: RecordedOperation[]
  results: (Recorded | boolean | number | null)[]
  cookie: RecordedCookieSent | null
  /** By the labels of the sessions. Times are UTC, without a zone. */
  stored: Record<string, { expires: string | null; last_accessed: string | null; data: Recorded }>
}

export interface Scenario {
  id: string
  status: 'normative' | 'questionable' | 'bug'
  config: { auto_save: boolean; timeout?: number }
  requests: RecordedRequest[]
}

interface MiddlewareFixtures {
  headers: RecordedHeader[]
  secret: string
  scenarios: Scenario[]
}

export const SCENARIO_START: number = Date.UTC(2024, 1, 29, 12)
export const { headers, secret, scenarios } = readFixture('python-middleware.json.gz') as MiddlewareFixtures

export function utc(time: string): number {
  return Date.parse(`${time}Z`)
}
