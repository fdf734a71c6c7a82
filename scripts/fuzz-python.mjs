// Usage: node scripts/fuzz-python.mjs [minutes, default 1] [seed, default a random one]
//
// Feeds damaged records of the Python library to its decoder, after every proper prefix of every recorded one. Whatever the
// bytes, the decoder answers in time: a refusal, or a record that can be written and is then read as the same. Ends with
// status 1, and the bytes that did it, if not.
import { Buffer } from 'node:buffer'
import { randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gunzipSync } from 'node:zlib'
import { importSource } from './import-source.mjs'
import { seededRandom } from './seeded-random.mjs'

const { decodeData, decodeRecord, encodeData, encodeRecord } = await importSource('dialects/vishnu-python/record.ts')

const [minutes = '1', seedText = String(randomInt(2 ** 31))] = process.argv.slice(2)
const MAX_MILLISECONDS = 1000
const MAX_GROWTH = 20 * 2 ** 20
Error.stackTraceLimit = 0
setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc')

const fixture = new URL('../test/fixtures/python-pickles.json.gz', import.meta.url)
const { records, compressed, others } = JSON.parse(gunzipSync(readFileSync(fixture)).toString())
const bytesOf = ({ pickle = '' }) => Buffer.from(pickle, 'base64')
const whole = records.map(bytesOf)
const corpus = [...whole, ...others.map(bytesOf)].filter(({ length }) => length > 0 && length < 20_000)
const compressedCorpus = compressed.map(bytesOf).filter(({ length }) => length > 0 && length < 20_000)

const below = seededRandom(Number(seedText))
const pick = (list) => list[below(list.length)]
const count = { read: 0, refused: 0, slowest: 0 }

function fail(problem, bytes) {
  console.error(`${problem}\nseed ${seedText}, bytes in base64: ${bytes.toString('base64')}`)
  process.exit(1)
}

function attempt(bytes, decode, encode) {
  // Processor time: on a busy machine the clock says nothing.
  const start = process.cpuUsage()
  try {
    const decoded = decode(bytes)
    const values = decoded.values ?? decoded
    for (const key of values.keys()) {
      try {
        values.get(key).decode()
      } catch (error) {
        if (!(error instanceof TypeError)) throw error
      }
    }
    const written = encode(decoded)
    const again = encode(decode(written))
    if (Buffer.compare(written, again) !== 0) fail('Written again, it is another', bytes)
    count.read++
  } catch (error) {
    if (error?.name !== 'PickleError') fail(`${error?.name}: ${error?.message}`, bytes)
    count.refused++
  }
  const { user, system } = process.cpuUsage(start)
  const milliseconds = (user + system) / 1000
  count.slowest = Math.max(count.slowest, milliseconds)
  if (milliseconds > MAX_MILLISECONDS) fail(`It took ${Math.round(milliseconds)} ms`, bytes)
}

const damages = [
  (bytes) => Buffer.from(bytes).fill(below(256), below(bytes.length)),
  (bytes) => {
    const copy = Buffer.from(bytes)
    for (let times = 1 + below(4); times > 0; times--) copy[below(copy.length)] = below(256)
    return copy
  },
  (bytes) => {
    const copy = Buffer.from(bytes)
    copy[below(copy.length)] ^= 1 << below(8)
    return copy
  },
  (bytes) => Buffer.concat([bytes.subarray(0, below(bytes.length)), bytes.subarray(below(bytes.length))]),
  (bytes) => {
    const at = below(bytes.length)
    const opcodes = Buffer.from(Array.from({ length: 1 + below(6) }, () => pick(OPCODES)))
    return Buffer.concat([bytes.subarray(0, at), opcodes, bytes.subarray(at)])
  },
  (bytes) => {
    const [start, length] = [below(bytes.length), 1 + below(64)]
    const piece = bytes.subarray(start, start + length)
    const repeated = Array.from({ length: 1 + below(200) }, () => piece)
    return Buffer.concat([bytes.subarray(0, start), ...repeated, bytes.subarray(start)])
  },
  (bytes) => {
    const other = pick(corpus)
    return Buffer.concat([bytes.subarray(0, below(bytes.length)), other.subarray(below(other.length))])
  },
]
const OPCODES = Buffer.from(
  '().012FGIJKLMNRSTUVXabcdeghjlpqrstu]}\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8e\x8f\x90\x91\x93\x94\x95\x96',
  'latin1',
)

function damaged(list) {
  let bytes = pick(list)
  for (let times = 1 + below(3); times > 0 && bytes.length > 0; times--) bytes = pick(damages)(bytes)
  return bytes
}

let prefixes = 0
for (const bytes of whole) {
  // Those of the longest take minutes each: every 50th.
  const step = bytes.length > 20_000 ? 50 : 1
  for (let end = 0; end < bytes.length; end += step, prefixes++)
    attempt(bytes.subarray(0, end), decodeRecord, encodeRecord)
}
console.log(`${prefixes} prefixes: ${count.read} read, ${count.refused} refused`)
if (count.read > 0) process.exit(1)

await setImmediate()
collectGarbage()
const before = process.memoryUsage().heapUsed
const end = performance.now() + Number(minutes) * 60_000
while (performance.now() < end) {
  for (let times = 0; times < 100; times++) attempt(damaged(corpus), decodeRecord, encodeRecord)
  attempt(damaged(compressedCorpus), decodeData, encodeData)
  // zlib frees what it used in the next turn only.
  await setImmediate()
}
collectGarbage()
const growth = process.memoryUsage().heapUsed - before
console.log(
  `${minutes} minutes, seed ${seedText}: ${count.read} read, ${count.refused - prefixes} refused, the slowest in ${Math.round(count.slowest)} ms, ` +
    `the heap grew by ${Math.round(growth / 2 ** 10)} KiB`,
)
if (growth > MAX_GROWTH) process.exit(1)
