import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { redis } from 'vishnu/backends/redis'

const { REDIS_URL, SESSION_SECRET } = process.env

export const sessions = createSessions({
  secret: SESSION_SECRET ?? 'for development only: 32 random characters',
  // In memory they end with the process, and in development with every edit of this file.
  backend: REDIS_URL ? redis({ url: REDIS_URL }) : memory(),
  timeout: 3600,
  autoSave: true,
})
