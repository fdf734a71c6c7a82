// Usage: node scripts/fuzz-cookies.mjs [cookies, default 10,000,000] [seed, default a random one]
//
// Sends damaged cookies, signed and encrypted, in headers of every shape in test/fixtures/cookie-headers.json: what it finds
// belongs there. None may be accepted, none may reach the backend, and nothing may be thrown or answered with a cookie. Ends
// with status 1, and the header that did it, if not. Needs `npm run build`.
import { Buffer } from 'node:buffer'
import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { memory } from '../dist/backends/memory.js'
import { createSessions } from '../dist/index.js'
import { seededRandom } from './seeded-random.mjs'

const [cookies = '10000000', seedText = String(randomInt(2 ** 31))] = process.argv.slice(2)
const secret = 'known to this script and to nobody else'
const { cases } = JSON.parse(readFileSync(new URL('../test/fixtures/cookie-headers.json', import.meta.url), 'utf8'))
const shapes = cases.flatMap(({ header }) => (header?.includes('<A>') ? [header.replaceAll('<B>', '<A>')] : []))

const below = seededRandom(Number(seedText))
const pick = (list) => list[below(list.length)]
let reached = 0
const operations = ['read', 'create', 'replace', 'touch', 'delete']
const counting = Object.fromEntries(operations.map((name) => [name, reach]))

async function reach() {
  reached++
}

async function target(options) {
  const store = { secret, onEvent: () => undefined, ...options }
  const issuer = createSessions({ ...store, backend: memory() })
  const genuine = []
  for (let number = 0; number < 4; number++) {
    const visit = issuer.open(undefined)
    const session = await visit.session()
    session.set('user', number)
    await session.save()
    const { append } = await issuer.commit(visit, () => undefined)
    genuine.push(append[0][1].split(';', 1)[0].slice('vishnu='.length))
  }
  return { sessions: createSessions({ ...store, backend: counting }), genuine }
}

const targets = [await target({}), await target({ encryptKey: `${secret}, to encrypt with` })]
const everything = targets.flatMap(({ genuine }) => genuine)
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=.%"\\;, \0\r\n\u00a0\u00e9\u2028'

const damages = [
  (text, at) => text.slice(0, at) + pick(ALPHABET) + text.slice(at + 1),
  (text, at) => text.slice(0, at) + pick(ALPHABET) + text.slice(at),
  (text, at) => text.slice(0, at) + text.slice(at + 1),
  (text, at) => text.slice(0, at),
  (text, at) => text.slice(at),
  (text, at) => text.slice(at) + text.slice(0, at),
  (text, at) => text.slice(0, at) + pick(everything).slice(at),
  (text, at) => text.slice(0, at) + text.slice(at).toLowerCase(),
  (text, at) => text.slice(0, at) + text.slice(at, at + 4).toUpperCase() + text.slice(at + 4),
  (text) => pick('0123') + text.slice(1),
  (text) => Array.from(text, () => pick(ALPHABET)).join(''),
  (text) => text + text,
  (text) => encodeURIComponent(text),
  (text, at) => {
    const bytes = Buffer.from(text.slice(1), 'base64url')
    if (bytes.length > 0) bytes[at % bytes.length] ^= 1 << below(8)
    return text.slice(0, 1) + bytes.toString('base64url')
  },
]

function damagedHeader() {
  for (;;) {
    let text = pick(everything)
    for (let times = 1 + below(3); times > 0; times--) text = pick(damages)(text, below(text.length + 1))
    const header = pick(shapes).replaceAll('<A>', () => text)
    if (!everything.some((value) => header.includes(value))) return header
  }
}

function fail(problem, header) {
  console.error(`${problem}\nseed ${seedText}, header in JSON: ${JSON.stringify(header)}`)
  process.exit(1)
}

for (const { sessions, genuine } of targets) {
  await (await sessions.open(`vishnu=${genuine[0]}`).session()).get('user')
  // Or the rest would prove nothing.
  if (reached !== 1) fail('A genuine cookie did not reach the backend', genuine[0])
  reached = 0
}

const start = performance.now()
for (let number = 0; number < Number(cookies); number++) {
  const { sessions } = targets[number % targets.length]
  const header = damagedHeader()
  try {
    const visit = sessions.open(header)
    const session = await visit.session()
    if (session.started) fail('A damaged cookie was accepted', header)
    const { append } = await sessions.commit(visit, () => undefined)
    if (append.some(([name]) => name === 'set-cookie')) fail('A damaged cookie was answered with a cookie', header)
  } catch (error) {
    fail(`A damaged cookie made a request fail: ${String(error)}`, header)
  }
  if (reached > 0) fail('A damaged cookie reached the backend', header)
}
const seconds = Math.round((performance.now() - start) / 1000)
console.log(`${cookies} cookies in ${seconds} s, seed ${seedText}: none accepted, none read, none written, no error`)
