// One visitor, three frameworks: a site on its way from Express to others, or one whose parts were never the same.
// They run in one process here; as processes of their own, behind one host name, they would do the same.
import { serve } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { sessionMiddleware as expressSessions } from 'vishnu/express'
import { sessionPlugin as fastifySessions } from 'vishnu/fastify'
import { sessionMiddleware as honoSessions } from 'vishnu/hono'
import { sessions } from './sessions.js'

const ports = (process.env.PORTS ?? '3000,3001,3002').split(',').map(Number)

/** What each of them does with the session, whatever its framework. */
async function visit(session, framework) {
  const visits = await session.update(framework, (count = 0) => count + 1)
  return { user: session.get('user'), framework, visits, seen: session.keys().toSorted() }
}

const onExpress = express()
onExpress.use(expressSessions(sessions))
onExpress.get('/', async (req, res) => {
  const session = await sessions.get(req)
  res.json(await visit(session, 'express'))
})
// Here you would check a password.
onExpress.post('/login', express.urlencoded(), async (req, res) => {
  const session = await sessions.get(req)
  if (session.has('user')) session.clear()
  session.set('user', req.body.name)
  session.regenerate({ authenticated: true })
  res.redirect(303, '/')
})

const onHono = new Hono()
onHono.use(honoSessions(sessions))
onHono.get('/', async (c) => {
  const session = await sessions.get(c)
  return c.json(await visit(session, 'hono'))
})

const onFastify = Fastify()
await onFastify.register(fastifySessions(sessions))
onFastify.get('/', async (request) => {
  const session = await sessions.get(request)
  return visit(session, 'fastify')
})
onFastify.post('/logout', async (request, reply) => {
  const session = await sessions.get(request)
  await session.terminate()
  return reply.redirect('/', 303)
})

const expressServer = onExpress.listen(ports[0], () => tell('Express', expressServer))
const honoServer = serve({ fetch: onHono.fetch, port: ports[1] }, () => tell('Hono', honoServer))
await onFastify.listen({ port: ports[2] })
tell('Fastify', onFastify.server)

function tell(framework, server) {
  console.log(`${framework}: http://localhost:${server.address().port}`)
}
