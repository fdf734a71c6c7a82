import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import type { Sessions } from '../sessions.js'
import { HeldVisit } from './held-visit.js'

/**
 * Sessions for Fastify 5: `app.register(sessionPlugin(sessions))`, before the routes; then `sessions.get(request)`.
 *
 * Registered for the application it holds for all routes; registered in a plugin of yours, for the routes of that plugin.
 *
 * What was changed is stored in an `onSend` hook, before the first byte of any reply, streams included. If it can't be
 * stored, your error handler gets the error (`ERR_BACKEND`, `statusCode` 503) in place of that reply. Replies that bypass
 * Fastify, by `reply.hijack()` and `reply.raw`, wait for their session too; if it can't be stored a plain 503 is sent.
 */
export function sessionPlugin<Data extends object>(sessions: Sessions<Data>): FastifyPluginCallback {
  // Symbols of this plugin's own: the same request may pass several of them.
  const HELD: unique symbol = Symbol('vishnu.held')
  const STORING: unique symbol = Symbol('vishnu.storing')
  type Request = FastifyRequest & { [HELD]?: HeldVisit<Data>; [STORING]?: boolean }

  const plugin: FastifyPluginCallback = (instance, _options, ready) => {
    instance.addHook('onRequest', (request: Request, reply, done) => {
      // Registered twice, say for the application and for a plugin of it: the outer one does the work.
      if (sessions.isBound(request)) return done()
      const held = new HeldVisit(sessions, request.raw, reply.raw)
      sessions.bind(request, held.visit)
      request[HELD] = held
      sessions.run(held.visit, done)
    })
    instance.addHook('onSend', (request: Request, reply, _payload, done): void | Promise<void> => {
      // An async handler that replies without returning the reply: Fastify sends once more while the first reply waits.
      if (request[STORING]) return
      const stored = request[HELD]?.store()
      if (!stored) return done()
      request[STORING] = true
      return stored
        .catch((error: unknown) => {
          discard(reply, error)
          throw error
        })
        .finally(() => (request[STORING] = false))
    })
    ready()
  }
  return Object.assign(plugin, {
    // What fastify-plugin does: the hooks are those of the instance that registers the plugin.
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: 'vishnu',
    [Symbol.for('plugin-meta')]: { name: 'vishnu', fastify: '5.x' },
  })
}

/** Nothing of the reply that was prepared must leave with the error's: neither Location nor the status of a redirect. */
function discard(reply: FastifyReply, error: unknown): void {
  for (const name of Object.keys(reply.getHeaders())) reply.removeHeader(name)
  reply.code((error as { statusCode?: number }).statusCode ?? 500)
}
