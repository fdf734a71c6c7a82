import { sessionHandle } from 'vishnu/sveltekit'
import { sessions } from './lib/server/sessions.js'

export const handle = sessionHandle(sessions)
