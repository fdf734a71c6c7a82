import type { ServerResponse } from 'node:http'
import { createGzip, type Gzip } from 'node:zlib'
import type { Middleware } from './http-stage.js'

type Method = (...args: unknown[]) => unknown
interface Patchable {
  writeHead: Method
  write: Method
  end: Method
  on: Method
  flush: Method
  _header: unknown
  _implicitHeader: Method
}

/** Runs a listener when the headers are about to be written, by the same patch as the package `on-headers`. */
export function onHeaders(response: ServerResponse, listener: () => void): void {
  const patchable = response as unknown as Patchable
  const { writeHead } = patchable
  let fired = false
  patchable.writeHead = (status, ...rest) => {
    response.statusCode = status as number
    const headers = rest.find((argument) => typeof argument === 'object') ?? {}
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value as string)
    if (!fired) {
      fired = true
      listener()
    }
    return writeHead.call(response, response.statusCode, ...rest.filter((argument) => typeof argument === 'string'))
  }
}

/**
 * Compresses every response by the same patches as the package `compression`. Up to 1.7 it asks `_header` whether the
 * headers are written and has them written by `_implicitHeader`; since 1.8 it asks `headersSent` and calls `writeHead`.
 */
export function compression(version: '1.7' | '1.8'): Middleware {
  return (_request, response, next) => {
    const patchable = response as unknown as Patchable
    const { write, end, on } = patchable
    let hasEnded = false
    // Listeners for `drain`, until it is known which stream will have to drain.
    let waiting: Method[] | undefined = []
    let gzip: Gzip | undefined

    const writeHeaders = (): void => {
      if (version === '1.7' && !patchable['_header']) patchable['_implicitHeader']()
      if (version === '1.8' && !response.headersSent) response.writeHead(response.statusCode)
    }
    patchable.flush = () => gzip?.flush()
    patchable.write = (chunk) => {
      if (hasEnded) return false
      writeHeaders()
      return gzip ? gzip.write(chunk) : write.call(response, chunk)
    }
    patchable.end = (chunk) => {
      if (hasEnded) return false
      writeHeaders()
      if (!gzip) return end.call(response, chunk)
      hasEnded = true
      return gzip.end(chunk)
    }
    patchable.on = (event, listener) => {
      if (event !== 'drain' || (!waiting && !gzip)) return on.call(response, event, listener)
      if (gzip) gzip.on('drain', listener as Method)
      else waiting?.push(listener as Method)
      return response
    }
    onHeaders(response, () => {
      const listeners = waiting ?? []
      waiting = undefined
      if (response.statusCode === 204 || response.statusCode === 304) {
        for (const listener of listeners) on.call(response, 'drain', listener)
        return
      }
      response.setHeader('Content-Encoding', 'gzip')
      response.removeHeader('Content-Length')
      const stream = createGzip()
      gzip = stream
      for (const listener of listeners) stream.on('drain', listener)
      stream.on('data', (chunk) => {
        if (write.call(response, chunk) === false) stream.pause()
      })
      stream.on('end', () => end.call(response))
      on.call(response, 'drain', () => stream.resume())
    })
    next()
  }
}
