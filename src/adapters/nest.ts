import { createParamDecorator, type DynamicModule, type ExecutionContext, type HttpServer } from '@nestjs/common'
import type { FastifyInstance } from 'fastify'
import type { Sessions } from '../sessions.js'
import { sessionMiddleware } from './express.js'
import { sessionPlugin } from './fastify.js'

/** `getHttpAdapter` belongs to the class that Nest passes, not to the interface it has for it. */
interface MiddlewareConsumer {
  getHttpAdapter(): HttpServer
}

/**
 * Sessions for NestJS 11 and 12, on `platform-express` and `platform-fastify`: `imports: [sessionModule(sessions)]` of your root
 * module. Guards, interceptors and handlers then find the session by `sessions.get(request)`; for handlers there is
 * {@link sessionDecorator}.
 *
 * What was changed is stored before the first byte of the response. If it can't be stored, your global exception filters
 * get the error (`ERR_BACKEND`, `statusCode` 503) in place of that response; those of a controller or a handler do not, as
 * these are done by then. On Express a stream that has begun is replaced by a plain 503.
 */
export function sessionModule<Data extends object>(sessions: Sessions<Data>): DynamicModule {
  class SessionModule {
    configure(consumer: MiddlewareConsumer): void {
      const server = consumer.getHttpAdapter()
      // Past Nest's own middleware, which on Fastify sees the bare request only and takes no errors back.
      if (server.getType() === 'fastify') (server.getInstance() as FastifyInstance).register(sessionPlugin(sessions))
      else server.use(sessionMiddleware(sessions))
    }
  }
  return { module: SessionModule }
}

/**
 * Makes a decorator for the parameters of handlers:
 *
 * ```ts
 * export const CurrentSession = sessionDecorator(sessions)
 * ```
 *
 * and then `@CurrentSession() session: Session<Data>`. Handlers without such a parameter cost no backend call.
 */
export function sessionDecorator<Data extends object>(sessions: Sessions<Data>): () => ParameterDecorator {
  return createParamDecorator((_data: undefined, context: ExecutionContext) =>
    sessions.get(context.switchToHttp().getRequest()),
  )
}
