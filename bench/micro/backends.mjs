// Usage: node bench/micro/backends.mjs [folder of the built library]
//
// What one backend operation takes on this machine, without HTTP and without the core: microseconds from call to answer,
// one after the other, and operations a second with 64 under way. Run `npm run bench` once before: it builds the library to
// bench/dist. Memcached is left out where it is not installed.
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { libraryFolder } from '../prepare.mjs'
import { freePort, startRedis } from '../redis.mjs'
import { median } from '../statistics.mjs'

const OPERATIONS = 3000
const IN_FLIGHT = 64
const value = randomBytes(400)

const library = pathToFileURL(resolve(process.argv[2] ?? libraryFolder)).href
const backendOf = async (name, ...options) =>
  (await import(`${library}/backends/${name}.js`))[camelCase(name)](...options)

const folder = await mkdtemp(join(tmpdir(), 'vishnu-bench-'))
const redisServer = await startRedis(folder)
const memcachedServer = await startMemcached()
const address = { host: '127.0.0.1', port: memcachedServer?.port }
const backends = {
  'memory()': await backendOf('memory'),
  'sqlite()': await backendOf('sqlite', { file: join(folder, 'full.sqlite') }),
  "sqlite(), synchronous: 'normal'": await backendOf('sqlite', {
    file: join(folder, 'n.sqlite'),
    synchronous: 'normal',
  }),
  'redis()': await backendOf('redis', { host: '127.0.0.1', port: redisServer.port }),
  ...(memcachedServer && {
    'memcached()': await backendOf('memcached', address),
    'memcacheClient()': await backendOf('memcache-client', address),
  }),
}

print(
  `Microseconds for one operation on ${value.length} bytes (median), one after the other; operations a second, ${IN_FLIGHT} at a time`,
)
print(`\n${''.padEnd(32)} read   replace    reads/s  replaces/s`)
for (const [name, backend] of Object.entries(backends)) {
  const [read, replace] = [await latency(backend, readOne), await latency(backend, replaceOne)]
  const [reads, replaces] = [await throughput(backend, readOne), await throughput(backend, replaceOne)]
  const cells = [read.toFixed(0).padStart(4), replace.toFixed(0).padStart(9), reads.padStart(10), replaces.padStart(11)]
  print([name.padEnd(32), ...cells].join(' '))
  await backend.close?.()
}
await redisServer.stop()
memcachedServer?.stop()
await rm(folder, { recursive: true })

async function latency(backend, operate) {
  const session = await startSession(backend)
  const times = []
  for (let count = 0; count < OPERATIONS; count++) {
    const start = performance.now()
    await operate(backend, session)
    times.push((performance.now() - start) * 1000)
  }
  // The first ones are the compiler's.
  return median(times.slice(OPERATIONS / 3))
}

async function throughput(backend, operate) {
  const visitors = await Promise.all(Array.from({ length: IN_FLIGHT }, () => startSession(backend)))
  const start = performance.now()
  await Promise.all(
    visitors.map(async (session) => {
      for (let count = 0; count < OPERATIONS / IN_FLIGHT; count++) await operate(backend, session)
    }),
  )
  return ((OPERATIONS / (performance.now() - start)) * 1000).toFixed(0)
}

async function startSession(backend) {
  const key = randomBytes(32).toString('base64url')
  const now = Date.now()
  return { key, now, deadline: now + 3_600_000, entry: await backend.create(key, value, now + 3_600_000, now) }
}

function readOne(backend, { key, now }) {
  return backend.read(key, now)
}

async function replaceOne(backend, session) {
  session.entry = await backend.replace(session.key, session.entry, value, session.deadline, session.now)
}

async function startMemcached() {
  if (spawnSync('memcached', ['--version']).status !== 0) return undefined
  const port = await freePort()
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const server = spawn('memcached', ['-l', '127.0.0.1', '-p', String(port), ...user], { stdio: 'ignore' })
  process.on('exit', () => server.kill('SIGKILL'))
  await Promise.race([once(server, 'exit'), sleep(300)])
  return { port, stop: () => server.kill('SIGKILL') }
}

function print(line) {
  process.stdout.write(`${line}\n`)
}

function camelCase(name) {
  return name.replace(/-(.)/g, (_, letter) => letter.toUpperCase())
}
