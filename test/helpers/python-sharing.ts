import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import type { PlainBackend } from '../../src/backend.js'
import { redis } from '../../src/backends/redis.js'
import { vishnuPython } from '../../src/dialects/vishnu-python.js'
import { cookieCodec } from '../../src/dialects/vishnu-python/cookie.js'
import { decodeRecord, encodeRecord, encodeValue, noValues } from '../../src/dialects/vishnu-python/record.js'
import { Changes } from '../../src/record.js'
import type { PythonRecord } from '../../src/dialects/vishnu-python/record.js'
import type { SessionsOptions } from '../../src/index.js'
import { startRedis } from './redis-server.js'
import { SECRET } from './unit-world.js'

const script = fileURLToPath(new URL('python-session.py', import.meta.url))
const run = promisify(execFile)

/** A Redis that a Python application and ours share. */
export interface SharedRedis {
  readonly raw: Redis
  /** A connection of its own, as another server's. */
  readonly connect: () => PlainBackend
  /** Options of `createSessions` for live sharing, over a connection of its own. */
  readonly options: () => Pick<SessionsOptions, 'dialect' | 'backend'>
  /** A request of the Python application; what it found under the key. */
  readonly python: (
    id: string,
    ...action: ['get', string] | ['terminate'] | ['set', string, string]
  ) => Promise<unknown>
  readonly stop: () => Promise<void>
}

export async function shareRedis(): Promise<SharedRedis> {
  const server = await startRedis()
  const raw = new Redis(server.port, '127.0.0.1')
  const opened: PlainBackend[] = []
  const connect = (): PlainBackend => {
    const backend = redis({ host: '127.0.0.1', port: server.port, layout: 'plain' })
    opened.push(backend)
    return backend
  }
  return {
    raw,
    connect,
    options: () => ({ dialect: vishnuPython(), backend: connect() }),
    python: async (id, ...action) => {
      const { stdout } = await run('python3', ['-W', 'ignore', script, String(server.port), id, ...action])
      return JSON.parse(stdout) as unknown
    },
    stop: async () => {
      raw.disconnect()
      for (const backend of opened) await backend.close?.()
      await server.stop()
    },
  }
}

/** The value of the cookie that the Python library sends for a session. */
export function pythonCookie(id: string, secret = SECRET): string {
  return cookieCodec({ secrets: [secret], encryptKeys: [], random: () => new Uint8Array() }).seal(id)
}

/** A record as Python leaves it, with these values. */
export function pythonRecord(
  values: Readonly<Record<string, unknown>>,
  { className = 'PickleableSession', expires, lastAccessed }: Partial<Omit<PythonRecord, 'values'>> = {},
): Buffer {
  const changes = new Changes()
  for (const [key, value] of Object.entries(values)) changes.set(key, encodeValue(key, value))
  return Buffer.from(encodeRecord({ className, expires, lastAccessed, values: noValues.with(changes) }))
}

/** What is stored under an id, as Python would read it; undefined if nothing is. */
export async function storedRecord(raw: Redis, id: string): Promise<PythonRecord | undefined> {
  const bytes = await raw.getBuffer(id)
  return bytes === null ? undefined : decodeRecord(bytes)
}
