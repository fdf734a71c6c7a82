import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { Demo } from './helpers/demo.mjs'

test('the demo takes another port if the wanted one is in use, and says so', async () => {
  const occupant = createServer()
  occupant.listen(0, 'localhost')
  await once(occupant, 'listening')
  const { port } = occupant.address()
  const demo = await Demo.start({ PORT: String(port) })
  try {
    expect(demo.lines).toEqual([
      `Port ${port} is in use, so another one is taken.`,
      expect.stringMatching(/^The shop is open: http:\/\/localhost:\d+$/),
    ])
    expect(demo.origin).not.toContain(`:${port}`)
    expect((await fetch(demo.origin)).status).toBe(200)
  } finally {
    await demo.stop()
    occupant.close()
  }
})
