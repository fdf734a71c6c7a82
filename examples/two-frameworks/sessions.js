import { createSessions } from 'vishnu'
import { redis } from 'vishnu/backends/redis'

/** What all parts of the site share: the same secret, cookie and backend. */
export const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: redis({ url: process.env.REDIS_URL ?? 'redis://localhost:6379/0' }),
  timeout: 3600,
  autoSave: true,
})
