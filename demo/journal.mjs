import { AsyncLocalStorage } from 'node:async_hooks'

/** Sessions whose latest request is remembered. */
const MOST_REMEMBERED = 1000

/** Notes what each request reads from and writes to the backend, and which cookie it was answered with. */
export class Journal {
  #requests = new AsyncLocalStorage()
  #latest = new Map()

  /** The request that is being handled, as far as it has come. */
  get current() {
    return this.#requests.getStore()
  }

  /** What is known of a session's earlier requests since the server was started. */
  latest(publicId) {
    return this.#latest.get(publicId) ?? {}
  }

  /** The same backend, watched. */
  watch(backend) {
    const note = (name, bytes, outcome, deadline) => {
      this.current?.operations.push({ name, bytes, outcome, deadline })
    }
    const outcomeOf = (result) => (typeof result === 'string' ? result : 'stored')
    return {
      maxBytes: backend.maxBytes,
      async read(key, now) {
        const entry = await backend.read(key, now)
        note('read', entry?.value.byteLength ?? 0, entry ? 'found' : 'nothing there', entry?.deadline)
        return entry
      },
      async create(key, value, deadline, now) {
        const result = await backend.create(key, value, deadline, now)
        note('create', value.byteLength, outcomeOf(result), deadline)
        return result
      },
      async replace(key, entry, value, deadline, now) {
        const result = await backend.replace(key, entry, value, deadline, now)
        note('replace', value.byteLength, outcomeOf(result), deadline)
        return result
      },
      async touch(key, entry, deadline, now) {
        const result = await backend.touch(key, entry, deadline, now)
        note('touch', 0, result, deadline)
        return result
      },
      delete: (key) => backend.delete(key),
      close: () => backend.close?.(),
    }
  }

  /** To be mounted before the session's middleware, since that stores at the end of the request. */
  middleware(sessions) {
    return (req, res, next) => {
      const request = { method: req.method, path: req.path, at: Date.now(), operations: [], cookie: undefined }
      res.on('finish', () => {
        // Who has not used the session must not do so here, and a visitor without one has nothing to be found by.
        if (request.operations.length === 0) return
        request.cookie = describeCookie(res.getHeader('Set-Cookie'))
        sessions.get(req).then(
          (session) => this.#remember(session, request),
          () => undefined,
        )
      })
      this.#requests.run(request, next)
    }
  }

  #remember(session, request) {
    if (!session.started) return
    const { publicId } = session
    const cookie = request.cookie ? { ...request.cookie, at: request.at } : this.latest(publicId).cookie
    this.#latest.delete(publicId)
    this.#latest.set(publicId, { request, cookie })
    if (this.#latest.size > MOST_REMEMBERED) this.#latest.delete(this.#latest.keys().next().value)
  }
}

/** Everything about it but the value, which opens the session. */
function describeCookie(header) {
  const line = [header].flat().at(-1)
  if (line === undefined) return undefined
  const [pair, ...attributes] = line.split('; ')
  const seconds = attributes.find((attribute) => attribute.startsWith('Max-Age='))?.slice('Max-Age='.length)
  return { name: pair.split('=')[0], attributes, seconds: seconds === undefined ? undefined : Number(seconds) }
}
