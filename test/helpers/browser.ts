import { once } from 'node:events'
import { request, type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { CookieJar, isLoopback } from './cookie-jar.js'

export interface RequestOptions {
  /** A `cookie` header given here is sent instead of the jar's cookies. */
  headers?: OutgoingHttpHeaders
  body?: string | Uint8Array
  redirect?: 'manual' | 'follow'
  signal?: AbortSignal
}

export interface BrowserResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly setCookies: readonly string[]
  readonly body: string
}

const patience = 20_000
const mostRedirects = 10

/** One visitor: an HTTP client with cookies. Every host name leads to this machine, so tests may use any. */
export class Browser {
  readonly jar: CookieJar

  /** Two tabs of one browser share a `jar`. */
  constructor({ now = Date.now, jar = new CookieJar(now) }: { now?: () => number; jar?: CookieJar } = {}) {
    this.jar = jar
  }

  /** Another browser with a copy of today's cookies, as a thief would have. */
  clone(): Browser {
    return new Browser({ jar: this.jar.clone() })
  }

  /** The value of a cookie, whatever its path; undefined when there is none. */
  cookie(name: string): string | undefined {
    return this.jar.all().find((cookie) => cookie.name === name)?.value
  }

  get(url: string | URL, options?: RequestOptions): Promise<BrowserResponse> {
    return this.request('GET', url, options)
  }

  post(url: string | URL, options?: RequestOptions): Promise<BrowserResponse> {
    return this.request('POST', url, options)
  }

  async request(method: string, address: string | URL, options: RequestOptions = {}): Promise<BrowserResponse> {
    let url = new URL(address)
    let response = await this.#send(method, url, options)
    if (options.redirect !== 'follow') return response

    for (let redirects = 0; redirects < mostRedirects; redirects++) {
      const { location } = response.headers
      if (location === undefined || response.status < 300 || response.status > 399) return response
      url = new URL(location, url)
      const keepsMethod = response.status === 307 || response.status === 308
      response = keepsMethod
        ? await this.#send(method, url, options)
        : await this.#send(method === 'HEAD' ? 'HEAD' : 'GET', url, { ...options, body: '' })
    }
    throw new Error(`More than ${mostRedirects} redirects, the last to ${url.href}`)
  }

  async #send(method: string, url: URL, options: RequestOptions): Promise<BrowserResponse> {
    const cookies = this.jar.header(url)
    const outgoing = request({
      method,
      host: isLoopback(url) ? url.hostname.replace(/^\[|\]$/g, '') : '127.0.0.1',
      port: url.port || 80,
      path: url.pathname + url.search,
      headers: { host: url.host, ...(cookies !== undefined && { cookie: cookies }), ...options.headers },
      // A connection of its own for each request: a kept one would hold up the server's close().
      agent: false,
      ...(options.signal && { signal: options.signal }),
    })
    outgoing.setTimeout(patience, () => {
      outgoing.destroy(new Error(`No answer to ${method} ${url.href} in ${patience} ms`))
    })
    outgoing.end(options.body)

    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
    const setCookies = incoming.headers['set-cookie'] ?? []
    // Before the body, as in a browser: a response that breaks off has set its cookies all the same.
    for (const line of setCookies) this.jar.store(line, url)
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, setCookies, body: await text(incoming) }
  }
}
