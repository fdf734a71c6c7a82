import { Buffer } from 'node:buffer'
import { createSessions, type SessionEvent, type SessionsOptions } from '../../src/index.js'
import { vishnuPython } from '../../src/dialects/vishnu-python.js'
import { memory } from '../../src/backends/memory.js'
import { forwardTo } from '../../src/testing/forwarding-backend.js'
import { plainMemory } from '../helpers/contract-plain.js'
import { newVisitor } from '../helpers/contract-requests.js'
import headers from '../fixtures/cookie-headers.json' with { type: 'json' }
import { type Below, type FuzzTarget, pickFrom } from './fuzz-target.js'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=.%"\\;, \0\r\n\u00a0\u00e9\u2028'

type Damage = (text: string, at: number, below: Below, other: string) => string

/** Ways to damage a cookie's value; `at` is some place in it, `other` another genuine one. */
const damages: readonly Damage[] = [
  (text, at, below) => text.slice(0, at) + letter(below) + text.slice(at + 1),
  (text, at, below) => text.slice(0, at) + letter(below) + text.slice(at),
  (text, at) => text.slice(0, at) + text.slice(at + 1),
  (text, at) => text.slice(0, at),
  (text, at) => text.slice(at),
  (text, at) => text.slice(at) + text.slice(0, at),
  (text, at) => text.slice(0, at) + Array.from(text.slice(at)).toReversed().join(''),
  (text, at, _, other) => text.slice(0, at) + other.slice(at),
  (text, at) => text.slice(0, at) + text.slice(at).toLowerCase(),
  (text, at) => text.slice(0, at) + text.slice(at, at + 4).toUpperCase() + text.slice(at + 4),
  (text, _, below) => pickFrom(below, ['0', '1', '2', '3']) + text.slice(1),
  (text, _, below) => Array.from(text, () => letter(below)).join(''),
  (text) => text + text,
  (text) => encodeURIComponent(text),
  (text, at, below) => {
    const bytes = Buffer.from(text.slice(1), 'base64url')
    if (bytes.length > 0) bytes[at % bytes.length]! ^= 1 << below(8)
    return text.slice(0, 1) + bytes.toString('base64url')
  },
]

/** Endless damaged forms of some of the genuine values; none of them holds one of these. */
export function damagedCookies(below: Below, genuine: readonly string[]): () => string {
  return () => {
    for (;;) {
      let text = pickFrom(below, genuine)
      for (let times = 1 + below(3); times > 0; times--) {
        text = pickFrom(below, damages)(text, below(text.length + 1), below, pickFrom(below, genuine))
      }
      if (!genuine.some((value) => text.includes(value))) return text
    }
  }
}

const secret = 'known to this file and to nobody else'
const encryptKey = `${secret}, to encrypt with`
const shapes = headers.cases.flatMap(({ header }) => (header?.includes('<A>') ? [header] : []))

/**
 * Every seal that there is: none may accept what it has not made. A damaged cookie is answered like none at all: its request
 * goes well, asks nothing of the backend, and gets no cookie.
 */
export async function cookieTargets(below: Below): Promise<FuzzTarget[]> {
  const python = vishnuPython()
  const servers = await Promise.all([
    server('signed', {}, below),
    server('encrypted', { encryptKey }, below),
    server('signed, of the Python library', { dialect: python }, below),
    server('encrypted, of the Python library', { dialect: python, encryptKey }, below),
  ])
  const everything = servers.flatMap(({ genuine }) => genuine)
  const damagedValue = damagedCookies(below, everything)

  function damaged(): string {
    for (;;) {
      const value = damagedValue()
      const header = pickFrom(below, shapes).replaceAll(/<[AB]>/g, () => value)
      // The header may have made it whole again.
      if (!everything.some((one) => header.includes(one))) return header
    }
  }
  return servers.map(({ name, attempt }) => ({ name, damaged, attempt }))
}

interface Server {
  readonly name: string
  readonly genuine: readonly string[]
  readonly attempt: FuzzTarget['attempt']
}

async function server(name: string, own: Partial<SessionsOptions>, below: Below): Promise<Server> {
  const random = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => below(256))
  const events: string[] = []
  const onEvent = ({ type }: SessionEvent): void => void events.push(type)
  const options = { secret, random, onEvent, ...own }
  const inner = own.dialect ? plainMemory() : memory()
  const issuer = createSessions({ ...options, backend: inner })
  const genuine: string[] = []
  while (genuine.length < 3) genuine.push((await newVisitor(issuer, { user: 'alice' })).slice('vishnu='.length))

  let reached = 0
  const backend = forwardTo(inner, (_, run) => {
    reached++
    return run()
  })
  const sessions = createSessions({ ...options, backend })

  await sessions.open(`vishnu=${genuine[0]}`).session()
  // Or the rest would prove nothing: a genuine one is looked up.
  if (reached !== 1) throw new Error('A genuine cookie did not reach the backend')
  reached = 0

  return {
    name,
    genuine,
    async attempt(header) {
      const visit = sessions.open(header)
      const session = await visit.session()
      if (session.started) throw new Error('It was accepted')
      const { append } = await sessions.commit(visit, () => undefined)
      if (append.some(([field]) => field === 'set-cookie')) throw new Error('It was answered with a cookie')
      if (reached > 0) throw new Error('It reached the backend')
      return events.splice(0).join() || 'not a cookie of ours'
    },
  }
}

function letter(below: Below): string {
  return ALPHABET.charAt(below(ALPHABET.length))
}
