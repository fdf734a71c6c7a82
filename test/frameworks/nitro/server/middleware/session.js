import { sessionMiddleware } from 'vishnu/h3'
import { stage } from '../utils/stage.js'

export default (event, next) => (stage.sessions ? sessionMiddleware(stage.sessions)(event, next) : next())
