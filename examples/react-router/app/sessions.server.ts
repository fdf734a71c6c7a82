import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'
import { redis } from 'vishnu/backends/redis'

interface Shop {
  user: string
  cart: string[]
  slow: boolean
  [page: `page${number}`]: boolean
}

export const sessions = createSessions<Shop>({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  // In memory sessions end with the process, and whenever this file is edited.
  backend: process.env.REDIS_URL ? redis({ url: process.env.REDIS_URL }) : memory(),
  timeout: 3600,
  autoSave: true,
})
