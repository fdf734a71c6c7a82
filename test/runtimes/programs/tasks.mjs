// What every runtime is asked to do. It runs there, so nothing here may belong to one of them.
import { setTimeout as sleep } from 'node:timers/promises'
import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { backendLaws, httpScenario, sweepLaws } from 'vishnu/testing'
import { playHistory } from './histories.mjs'

const secret = 'a secret for tests, and for nothing else'
const encryptKey = 'a key for tests, and for nothing else at all'

/**
 * `platform.backend(name)` resolves to what opens that backend, and `platform.serve(name)` starts that server, as the HTTP
 * scenario wants it.
 */
export async function perform({ task, ...input }, platform) {
  return tasks[task](input, platform)
}

const tasks = {
  laws: async ({ backend }, platform) => {
    const open = await platform.backend(backend)
    return outcomes(backendLaws(open, { longestValue: 2_000_000 }))
  },

  sweepLaws: async ({ backend }, platform) => outcomes(sweepLaws(await platform.backend(backend))),

  scenario: ({ server, capabilities }, platform) => outcomes(httpScenario(platform.serve(server), { capabilities })),

  history: async ({ backend, ...options }, platform) => {
    const open = await platform.backend(backend)
    // A store in the process is one for all servers of the history.
    return playHistory(backend === 'memory' ? open() : open, options)
  },

  count: async ({ backend, server, loops, rounds }, platform) => {
    const open = await platform.backend(backend)
    const { visitor, close } = await start(open(), server, platform, async ({ path, session }) => {
      const mine = await session()
      if (path === '/raise') await mine.update('count', (count = 0) => count + 1)
      return { status: 200, body: String(mine.get('count')) }
    })
    await visitor.get('/raise')
    const raise = async () => {
      for (let round = 0; round < rounds; round++) await visitor.get('/raise')
    }
    await Promise.all(Array.from({ length: loops }, raise))
    const count = await visitor.get('/')
    await close()
    return Number(count.body)
  },

  logOut: async ({ backend, server }, platform) => {
    // Polled, since on Workers no request can await what another one resolves.
    let [hasArrived, mayGo] = [false, false]
    const pages = {
      '/log-in': (session) => session.set('user', 'ada'),
      '/log-out': (session) => session.terminate(),
      '/slow': async (session) => {
        hasArrived = true
        await until(() => mayGo)
        session.set('cart', 'book')
      },
      '/': () => undefined,
    }
    const open = await platform.backend(backend)
    const { visitor, close } = await start(open(), server, platform, async ({ path, session }) => {
      const mine = await session()
      await pages[path](mine)
      return { status: 200, body: `${mine.get('user')} ${mine.get('cart')}` }
    })
    await visitor.get('/log-in')
    const { cookie } = visitor
    const slow = visitor.get('/slow')
    await until(() => hasArrived)
    await visitor.get('/log-out')
    mayGo = true
    const slowSetsCookies = (await slow).setsCookies
    visitor.cookie = cookie
    const after = await visitor.get('/')
    await close()
    return { slowSetsCookies, after: after.body }
  },

  afterwards: async ({ server }, platform) => {
    const [inner, calls] = [memory(), { begun: 0, settled: 0 }]
    const operations = ['read', 'create', 'replace', 'touch', 'delete'].map((name) => {
      const counted = async (...args) => {
        calls.begun++
        // So that what nobody waits for is still under way when the answer arrives.
        await sleep(20)
        return inner[name](...args).finally(() => calls.settled++)
      }
      return [name, counted]
    })
    const pages = {
      '/set': (session) => session.set('user', 'ada'),
      '/read': (session) => session.get('user'),
      '/update': (session) => session.update('count', (count = 0) => count + 1),
      '/log-in': (session) => session.regenerate({ authenticated: true }),
      '/log-out': (session) => session.terminate(),
    }
    const backend = Object.fromEntries(operations)
    const { visitor, close } = await start(backend, server, platform, async ({ path, session }) => {
      if (pages[path]) await pages[path](await session())
      return { status: 200 }
    })
    const left = {}
    for (const path of Object.keys(pages)) {
      await visitor.get(path)
      left[path] = calls.begun - calls.settled
    }
    // Nor does anything begin later on.
    const { begun } = calls
    await visitor.get('/another-page')
    left['/another-page'] = calls.begun - begun
    await close()
    return left
  },

  hang: async ({ server, requests }, platform) => {
    const never = () => new Promise(() => undefined)
    const backend = { read: never, create: never, replace: never, touch: never, delete: never }
    const { origin, close } = await start(
      backend,
      server,
      platform,
      async ({ session }) => {
        const mine = await session()
        mine.set('user', 'ada')
        return { status: 200 }
      },
      { backendTimeout: 100 },
    )
    const visit = async () => (await fetch(origin)).status
    const together = await Promise.all(Array.from({ length: requests }, visit))
    const statuses = [...together, await visit()]
    await close()
    return statuses
  },

  write: async ({ now }) => {
    const written = []
    for (const options of [{}, { encryptKey }]) {
      const backend = memory()
      let stored
      const create = backend.create.bind(backend)
      backend.create = (key, value, deadline, at) => {
        stored = { key, value: Array.from(value), deadline }
        return create(key, value, deadline, at)
      }
      const sessions = createSessions({ secret, backend, clock: () => now, timeout: 3600, ...options })
      const visit = sessions.open(undefined)
      const session = await visit.session()
      for (const [key, value] of Object.entries(values)) session.set(key, value)
      await session.save()
      const { append } = await sessions.commit(visit, () => undefined)
      written.push({ cookie: append[0][1].split(';')[0], ...stored })
    }
    return written
  },

  read: async ({ now, written }) => {
    const read = []
    for (const { cookie, key, value, deadline } of written) {
      const backend = memory()
      await backend.create(key, Uint8Array.from(value), deadline, now)
      const sessions = createSessions({ secret, encryptKey, backend, clock: () => now, timeout: 3600 })
      const session = await sessions.open(cookie).session()
      read.push(Object.fromEntries(Object.keys(values).map((name) => [name, described(session.get(name))])))
    }
    return read
  },

  expected: () => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, described(value)])),
}

/** Of every kind that a session keeps. */
const values = {
  text: 'Ærøskøbing 🚲 \u2028 \0',
  number: -0.1,
  nothing: null,
  list: [1, 'two', { three: [3] }],
  missing: undefined,
  notANumber: NaN,
  date: new Date(1_234_567_890_123),
  map: new Map([['a', new Set([1, 2])]]),
  large: 2n ** 70n,
  bytes: Uint8Array.of(0, 127, 255),
}

/** JSON that tells apart what JSON does not. */
function described(value) {
  if (value instanceof Map) return { map: [...value].map(described) }
  if (value instanceof Set) return { set: [...value].map(described) }
  if (value instanceof Date) return { date: value.getTime() }
  if (value instanceof Uint8Array) return { bytes: [...value] }
  if (Array.isArray(value)) return value.map(described)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, described(item)]))
  }
  return typeof value === 'string' ? value : `${typeof value} ${value}`
}

async function outcomes(checks) {
  const failed = []
  for (const { name, check } of checks) {
    await check().catch((error) => failed.push(`${name}: ${error.stack}`))
  }
  return { passed: checks.length - failed.length, failed }
}

async function start(backend, serverName, platform, handler, { backendTimeout = 10_000 } = {}) {
  const onEvent = () => undefined
  const sessions = createSessions({ secret, backend, autoSave: true, backendTimeout, onEvent })
  const server = await platform.serve(serverName)(sessions, handler)
  const visitor = {
    cookie: undefined,
    get: async (path) => {
      const headers = visitor.cookie === undefined ? {} : { cookie: visitor.cookie }
      const response = await fetch(new URL(path, server.origin), { headers })
      const body = await response.text()
      if (response.status !== 200) throw new Error(`${path} was answered with ${response.status} ${body}`)
      const [setCookie] = response.headers.getSetCookie()
      if (setCookie !== undefined) visitor.cookie = setCookie.split(';')[0]
      return { body, setsCookies: setCookie !== undefined }
    },
  }
  const close = async () => {
    await server.close()
    await sessions.close()
  }
  return { origin: server.origin, visitor, close }
}

async function until(condition) {
  while (!condition()) await sleep(2)
}
