import { join } from 'node:path'
import { createClient } from '@redis/client'

/** The one way in which every contestant reaches Redis: same client, same options. */
export async function connectRedis(port) {
  const client = createClient({ url: `redis://127.0.0.1:${port}` })
  await client.connect()
  return client
}

export async function vishnuBackend(library, { backend, redisPort, folder }) {
  const module = await import(`${library}/backends/${backend}.js`)
  switch (backend) {
    case 'memory':
      return module.memory()
    case 'sqlite':
      return module.sqlite({ file: join(folder, `vishnu-${process.pid}.sqlite`) })
    case 'redis':
      return module.redis({ client: await connectRedis(redisPort) })
    default:
      throw new Error(`no such backend: ${backend}`)
  }
}

/** RESP's mark of a bulk string: bytes are wanted, not text. */
const BULK_STRING = '$'.charCodeAt(0)

/**
 * What any session in Redis has to do at least: one GET, and to write one SET, of as many bytes. Undefined for the other
 * backends, where a floor does nothing but answer.
 */
export async function rawAccess({ backend, redisPort, bytes }) {
  if (backend !== 'redis') return undefined
  const client = (await connectRedis(redisPort)).withTypeMapping({ [BULK_STRING]: Buffer })
  const key = `raw:${process.pid}:${'k'.repeat(40)}`
  const value = Buffer.alloc(bytes, 'x')
  const options = { expiration: { type: 'EX', value: 3600 } }
  await client.set(key, value, options)
  return async (action) => {
    await client.get(key)
    if (action === 'write') await client.set(key, value, options)
  }
}
