// Which of the repository's test files run on every runtime, and which tests a runtime can't run.

/** A new test of the core belongs to them at once. */
export const include = ['test/*.test.ts', 'test/dialects/*.test.ts', 'test/backends/memory.test.ts']

const exclude = [
  // They look at the repository, its package and the tools of its tests.
  ...files('docs', 'guarantees', 'package', 'structure', 'helpers', 'broken-*', 'kit-messages'),
  // The command line and the Memcached client belong to Node.
  ...files('cli', 'cli-*', 'memcached-client*'),
  // They ask CPython about pickles.
  ...files('python-cpython'),
  // They play on every server there is; here the tasks of `programs/` do so.
  ...files('contract-rounds*', 'contract-secrecy-backends', 'histories*'),
  // They open SQLite files by Node 20's driver beside the runtime's own. Two SQLites in one process don't see each other's
  // locks (sqlite.org/howtocorrupt.html, section 2.2.1).
  ...files('cleanup'),
]

/** What takes longest and is the same code on all of them: left to `npm run test:runtimes`. */
const slow = process.env.RUNTIMES === 'newest' ? files('python-pickle', 'dialects/*') : []

/** Workers have no files, start no processes and accept no connections, so these can't even begin there. */
const beyondWorkers = [
  ...files('contract-first-byte', 'one-visitor', 'original-defects'),
  ...files('python-cookie', 'python-pickle', 'python-record', 'dialects/*'),
]

const noProcess = 'it starts a process'
const noRedis = 'it starts a Redis server'
const noComparison = "workerd's assert.deepStrictEqual throws at objects without a prototype"
const notAllowed = 'it starts `deno main.mjs`, which may not even read files'

/** By the name of the runtime, and there by how the test's name begins: why it is left out. */
const exceptions = {
  Bun: {
    'what you set is what you get a very sparse array':
      "Bun's assert.deepStrictEqual visits each of 4,000,000,000 holes",
  },
  Deno: {
    'a process ends as soon as nobody waits': notAllowed,
    'a process that has made a memory backend and used it can end': notAllowed,
  },
  workerd: {
    'a process ends as soon as nobody waits': noProcess,
    'a process that has made a memory backend and used it can end': noProcess,
    "on 'Redis'": noRedis,
    'with its own connection, ': noRedis,
    'with ioredis, ': noRedis,
    'what you set is what you get objects without a prototype': noComparison,
    'what you set is what you get every other value': noComparison,
    'setCookie says GMT and means it, wherever the server stands': 'a worker has no other time zone than UTC',
  },
}

export const excludedOn = (runtime) => [...exclude, ...slow, ...(runtime === 'workerd' ? beyondWorkers : [])]

export const exceptionsOn = (runtime) => exceptions[runtime] ?? {}

/** For vitest's `testNamePattern`. */
export function withoutExceptions(runtime) {
  const beginnings = Object.keys(exceptionsOn(runtime)).map((name) => name.replace(/[^\w\s]/g, '\\$&'))
  return beginnings.length > 0 ? new RegExp(`^(?!${beginnings.join('|')})`) : undefined
}

function files(...names) {
  return names.map((name) => `test/${name}.test.ts`)
}
