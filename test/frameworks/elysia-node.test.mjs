import { node } from '@elysiajs/node'
import { Elysia } from 'elysia'
import { describe, expect, test } from 'vitest'
import { httpScenario } from '../../src/testing/http-scenario.ts'
import { freePort } from '../helpers/free-port.ts'
import { useScenario } from '../helpers/serve-elysia.ts'

async function serve(sessions, handler) {
  const app = useScenario(new Elysia({ adapter: node() }), sessions, handler)
  const port = await freePort()
  const server = await new Promise((resolve) => {
    app.listen({ port, hostname: '127.0.0.1' }, resolve)
  })
  await server.raw.ready()
  return { origin: `http://127.0.0.1:${port}`, close: () => server.stop(true) }
}

describe('vishnu/elysia on @elysiajs/node:', () => {
  test.each(httpScenario(serve))('$name', async ({ check }) => expect(await check()).toBeUndefined())
})
