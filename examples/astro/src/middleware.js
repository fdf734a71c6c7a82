import { sessionMiddleware } from 'vishnu/astro'
import { sessions } from './lib/sessions.js'

export const onRequest = sessionMiddleware(sessions)
