import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { memory } from '../src/backends/memory.js'
import type { Sessions } from '../src/index.js'
import { Browser } from './helpers/browser.js'
import { type Listening, listen, withSessions } from './helpers/contract-http.js'
import { startServer, valuesOf } from './helpers/contract-requests.js'

// JavaScript looks a method up before it evaluates the arguments of the call. The method that sends the response is thus
// often older than the first question for the session, which stands in the arguments.

let server: Listening | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

const handlers: Record<string, (sessions: Sessions, request: IncomingMessage, response: ServerResponse) => unknown> = {
  'response.end(await …)': async (sessions, request, response) => {
    response.end(await page(sessions, request))
  },
  'response.write(await …)': async (sessions, request, response) => {
    response.write(await page(sessions, request))
    response.end()
  },
  'response.writeHead(200, await …)': async (sessions, request, response) => {
    response.writeHead(200, { 'x-page': await page(sessions, request) })
    response.end('alice')
  },
  'a method kept from before': async (sessions, request, response) => {
    const finish = response.end.bind(response)
    finish(await page(sessions, request))
  },
}

test.each(Object.entries(handlers))('%s sends a whole response, after the commit', async (_, handler) => {
  const sessions = startServer(memory(), { autoSave: true })
  server = await listen(withSessions(sessions, (request, response) => handler(sessions, request, response)))
  const browser = new Browser()
  const response = await browser.get(server.url)
  expect([response.status, response.body, response.headers['vary']]).toEqual([200, 'alice', 'Cookie'])
  expect(await valuesOf(sessions, `vishnu=${browser.cookie('vishnu')}`)).toEqual({ user: 'alice' })
})

async function page(sessions: Sessions, request: IncomingMessage): Promise<string> {
  const session = await sessions.get(request)
  session.set('user', 'alice')
  return session.get('user') as string
}
