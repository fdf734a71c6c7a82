import { createSessions } from 'vishnu'
import { memory } from 'vishnu/backends/memory'

export const sessions = createSessions({
  secret: process.env.SESSION_SECRET ?? 'for development only: 32 random characters',
  backend: memory(),
  timeout: 3600,
  autoSave: true,
})
