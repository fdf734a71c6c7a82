import { withSessions } from 'vishnu/fetch'

/** A handler from `Request` to `Response` that answers as a handler of the HTTP scenario wants it. */
export function fetchApp(sessions, handler) {
  return withSessions(
    sessions,
    async (request) => {
      const { pathname } = new URL(request.url)
      const session = () => sessions.get(request)
      const { status, headers = {}, body = '' } = await handler({ method: request.method, path: pathname, session })
      // Its headers are immutable.
      if (headers.location) return Response.redirect(new URL(headers.location, request.url), status)
      const pairs = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((item) => [name, item]))
      return new Response(typeof body === 'string' ? body : streamOf(body), { status, headers: pairs })
    },
    { onError: ({ status = 500 }) => new Response('Something went wrong', { status }) },
  )
}

/** A body of what an async iterable yields. */
export function streamOf(pieces) {
  const iterator = pieces[Symbol.asyncIterator]()
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next()
      if (done) controller.close()
      else controller.enqueue(new TextEncoder().encode(value))
    },
    cancel: () => iterator.return(),
  })
}
