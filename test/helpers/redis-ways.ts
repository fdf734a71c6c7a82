import type { Backend } from '../../src/backend.js'
import { redis } from '../../src/backends/redis.js'
import { clients } from './redis-clients.js'

export interface Way {
  readonly name: string
  /** Whether a command waits until the client is connected again. What was in doubt can then be made sure of. */
  readonly isPatient: boolean
  readonly open: (port: number) => { backend: Backend; close: () => void }
}

/** However an application connects to Redis, its visitors must not see a difference. */
export const ways: readonly Way[] = [
  {
    name: 'a connection of its own',
    isPatient: false,
    open: (port) => ({ backend: redis({ host: '127.0.0.1', port }), close: () => undefined }),
  },
  ...Object.entries(clients).map(([name, open]) => ({
    name: `the application's client: ${name}`,
    isPatient: !name.includes('with care'),
    open: (port: number) => {
      const { client, close } = open(port)
      return { backend: redis({ client }), close }
    },
  })),
]
