import { createSessions } from 'vishnu'
import { redis } from 'vishnu/backends/redis'
import { sqlite } from 'vishnu/backends/sqlite'

export const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  // Not memory(): Next.js may load this file several times, and each copy would have a memory of its own.
  backend: process.env.REDIS_URL ? redis({ url: process.env.REDIS_URL }) : sqlite(),
  timeout: 3600,
  autoSave: true,
})
