import { Buffer } from 'node:buffer'
import { callBackend } from '../backend-call.js'
import type { Settings } from '../config.js'
import { MAX_COOKIE_BYTES } from '../cookie.js'
import { explainRecord } from './explain-record.js'
import { bytes, dateOf, type Explanation } from './explanation.js'
import { grouped } from './terminal.js'

export interface GivenCookie {
  /** Undefined if only the value was given. */
  readonly name: string | undefined
  readonly value: string
  /** As a Set-Cookie header has them. */
  readonly attributes: readonly string[] | undefined
}

/** A seal's version, then base64url: see the native dialect, whose formats these are. */
const SIGNED = /^1[\w-]{75}$/
const ENCRYPTED = /^2[\w-]{70}$/

export function isCookieValue(text: string): boolean {
  return SIGNED.test(text) || ENCRYPTED.test(text)
}

/** The cookie; and behind it the session, if the configuration is given and opens the cookie. */
export async function explainCookie(
  cookie: GivenCookie,
  settings: Settings | undefined,
  showValues: boolean,
): Promise<Explanation[]> {
  const { name, value, attributes } = cookie
  const facts: [string, string][] = []
  const size = Buffer.byteLength((name ?? '') + value)
  const counted = name === undefined ? `${bytes(size)} without its name` : bytes(size)
  facts.push(['size', `${counted}; browsers take ${grouped(MAX_COOKIE_BYTES)}`])
  if (attributes) facts.push(['attributes', attributes.join('; ')])
  const title = `${name === undefined ? 'A cookie' : `The cookie ${name}`}, ${formatOf(value)}`
  if (value === '') return [{ title, facts, isSound: true }]

  const opened = settings?.dialect.open(value)
  if (opened) facts.push(['expires', expiryOf(opened.expires)])
  else if (SIGNED.test(value)) facts.push(['expires', expiryOf(sealedExpiry(value))])
  if (!settings) {
    facts.push(['seal', 'not checked: pass --config'])
    return [{ title, facts, isSound: isCookieValue(value) }]
  }
  if (!opened) {
    facts.push(['seal', 'does not open: sealed with another secret or for another name, or damaged'])
    return [{ title, facts, isSound: false }]
  }
  facts.push([
    'seal',
    opened.stale ? 'opens, with an older key: it will be sealed anew' : 'opens, with the current key',
  ])
  return [{ title, facts, isSound: true }, await explainSession(settings, opened.id, showValues)]
}

/** Of epoch seconds, as a dialect's `open` tells them. */
function expiryOf(seconds: number | undefined): string {
  if (seconds === undefined) return 'the cookie does not say'
  return seconds === 0 ? 'when the browser closes' : dateOf(seconds * 1000)
}

function formatOf(value: string): string {
  if (SIGNED.test(value)) return 'format 1: signed'
  if (ENCRYPTED.test(value)) return 'format 2: encrypted'
  return value === '' ? 'removed by an empty value' : 'not in our own format'
}

/** Epoch seconds: the last 6 bytes of the payload, which a signature leaves readable. The id before them stays unread. */
function sealedExpiry(value: string): number {
  return Buffer.from(value.slice(25, 33), 'base64url').readUIntBE(0, 6)
}

async function explainSession(settings: Settings, id: string, showValues: boolean): Promise<Explanation> {
  const { backend, dialect, now } = settings
  const key = dialect.key(id)
  const entry = await callBackend(settings, () => backend.read(key, now()))
  if (!entry) return { title: 'No session behind it: it has expired or was removed', facts: [], isSound: true }
  const { value, deadline } = entry
  return explainRecord(
    {
      atRest: dialect.decode(key, value),
      size: value.length,
      decodeValue: (sessionKey, encoded) => dialect.decodeValue(sessionKey, encoded),
      deadline,
    },
    showValues,
  )
}
