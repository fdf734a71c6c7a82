// Usage: node bench/micro/journey.mjs [folder of the built library]
//
// The journey of a request without HTTP: what open, get and commit cost by themselves, in microseconds of CPU. Run
// `npm run bench` once before: it builds the library to bench/dist.
import { pathToFileURL } from 'node:url'
import { resolve } from 'node:path'
import { libraryFolder } from '../prepare.mjs'
import { sessionValues } from '../session-values.mjs'
import { median } from '../statistics.mjs'

const library = pathToFileURL(resolve(process.argv[2] ?? libraryFolder)).href
const { createSessions } = await import(`${library}/index.js`)
const { memory } = await import(`${library}/backends/memory.js`)

const REQUESTS = 20_000
const ROUNDS = 9
const noHeader = () => undefined

const sessions = createSessions({ secret: 's'.repeat(32), backend: memory(), timeout: 3600, autoSave: true })
const small = await visitorWith(200)
const large = await visitorWith(64 * 1024)
let visits = 1_000_000

const journeys = {
  untouched: async () => {
    const visit = sessions.open(small)
    await sessions.commit(visit, noHeader)
  },
  'untouched, in run()': async () => {
    const visit = sessions.open(small)
    sessions.run(visit, () => undefined)
    await sessions.commit(visit, noHeader)
  },
  'new visitor, read': () => journey(undefined, (session) => session.get('visits')),
  'read 200 B': () => journey(small, (session) => session.get('visits')),
  'read 64 KB': () => journey(large, (session) => session.get('visits')),
  'write 200 B': () => journey(small, (session) => session.set('visits', ++visits)),
  'write 64 KB': () => journey(large, (session) => session.set('visits', ++visits)),
}

const costs = new Map(Object.keys(journeys).map((name) => [name, []]))
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, run] of Object.entries(journeys)) {
    const requests = name.includes('64 KB') ? REQUESTS / 10 : REQUESTS
    const before = process.cpuUsage()
    for (let request = 0; request < requests; request++) await run()
    const { user, system } = process.cpuUsage(before)
    costs.get(name).push((user + system) / requests)
  }
}
// The first rounds are the compiler's.
for (const [name, all] of costs) process.stdout.write(`${median(all.slice(3)).toFixed(2).padStart(8)} µs  ${name}\n`)

async function visitorWith(bytes) {
  const visit = sessions.open(undefined)
  const session = await visit.session()
  for (const [key, value] of Object.entries(sessionValues(bytes))) session.set(key, value)
  const { append } = await sessions.commit(visit, noHeader)
  return append[0][1].split(';')[0]
}

async function journey(cookie, handle) {
  const visit = sessions.open(cookie)
  handle(await visit.session())
  await sessions.commit(visit, noHeader)
}
