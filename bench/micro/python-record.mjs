// Usage: node bench/micro/python-record.mjs
//
// What records and cookies of the Python library cost, in microseconds of CPU. Measures the sources.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { importSource } from '../../scripts/import-source.mjs'
import { median } from '../statistics.mjs'

const { decodeRecord, encodeRecord, encodeValue } = await importSource('dialects/vishnu-python/record.ts')
const { cookieCodec } = await importSource('dialects/vishnu-python/cookie.ts')
const { Changes } = await importSource('record.ts')

const RUNS = 2000
const ROUNDS = 15

const fixture = new URL('../../test/fixtures/python-pickles.json.gz', import.meta.url)
const { records } = JSON.parse(gunzipSync(readFileSync(fixture)).toString())
const recorded = (id) => Buffer.from(records.find((record) => record.id === id).pickle, 'base64')

const products = Array.from({ length: 30 }, (_, index) => ({
  sku: `A-${index}`,
  title: `Product number ${index}, étoile`,
  quantity: index,
  price: index * 1.25,
  options: ['red', 'large'],
}))
const changes = new Changes()
changes.set('cart', encodeValue('cart', products))
const realistic = decodeRecord(recorded('realistic (protocol 4)'))
const large = encodeRecord({ ...realistic, values: realistic.values.with(changes) })

const signed = cookieCodec({ secrets: ['s'.repeat(32)], encryptKeys: [], random: randomBytes })
const encrypted = cookieCodec({ secrets: ['s'.repeat(32)], encryptKeys: ['e'.repeat(32)], random: randomBytes })
const [signedCookie, encryptedCookie] = [signed.seal('a'.repeat(32)), encrypted.seal('a'.repeat(32))]

const tasks = new Map()
const add = (name, bytes) => {
  const record = decodeRecord(bytes)
  tasks.set(`decode ${name}, ${bytes.length} B`, () => decodeRecord(bytes))
  tasks.set(`encode ${name}`, () => encodeRecord(record))
}
add('a log-in of Python 3', recorded('login (protocol 4)'))
add('a log-in of Python 2', recorded('py2-pickleablesession-login (protocol 0)'))
add('a session of Python 3', recorded('realistic (protocol 4)'))
add('a full cart', large)
tasks.set('open a signed cookie', () => signed.open(signedCookie))
tasks.set('open an encrypted cookie', () => encrypted.open(encryptedCookie))

const costs = new Map([...tasks.keys()].map((name) => [name, []]))
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, run] of tasks) {
    const before = process.cpuUsage()
    for (let times = 0; times < RUNS; times++) run()
    const { user, system } = process.cpuUsage(before)
    costs.get(name).push((user + system) / RUNS)
  }
}
// The first rounds are the compiler's.
for (const [name, all] of costs) process.stdout.write(`${median(all.slice(3)).toFixed(2).padStart(8)} µs  ${name}\n`)
