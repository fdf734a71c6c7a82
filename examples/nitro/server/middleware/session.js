import { sessionMiddleware } from 'vishnu/h3'
import { sessions } from '../utils/sessions.js'

export default sessionMiddleware(sessions)
