import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket as Client } from 'ws'
import { startRedis } from '../../helpers/redis-server.ts'
import { launchChromium } from '../../browser/helpers/chromium.mjs'
import { Project } from '../helpers/project.mjs'

const example = new URL('../../../examples/websocket', import.meta.url).pathname

let redis, project, servers, browser

beforeAll(async () => {
  redis = await startRedis()
  project = await Project.create('websocket', example)
  const env = { REDIS_URL: `redis://127.0.0.1:${redis.port}` }
  servers = await Promise.all([1, 2].map(() => project.serve('server.js', [], env)))
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await Promise.all(servers?.map((server) => server.stop()) ?? [])
  await project?.remove()
  await redis?.stop()
})

/** Somebody who is logged in, with the page open. */
async function visitor({ origin } = servers[0]) {
  const context = await browser.newContext()
  onTestFinished(() => context.close())
  const page = await context.newPage()
  await page.goto(origin)
  await page.locator('input[name=name]').fill('ada')
  await page.getByRole('button', { name: 'Log in' }).click()
  await live(page, 'Hello ada, your cart: empty')
  return { context, page }
}

const address = ({ origin }) => origin.replace('http', 'ws')
/** Resolves when the page has heard this over its socket. */
async function live(page, text) {
  await page.locator('#live', { hasText: text }).waitFor()
  return true
}

describe('the example, in Chromium', () => {
  test('a socket sees what the visitor changes elsewhere', async () => {
    const { context, page } = await visitor()
    const tab = await context.newPage()
    await tab.goto(servers[0].origin)
    await tab.locator('input[name=item]').fill('book')
    await tab.getByRole('button', { name: 'Add' }).click()
    await tab.locator('#hello', { hasText: 'book' }).waitFor()
    expect(await live(page, 'Hello ada, your cart: book')).toBe(true)
  })

  test.each(['the server that holds it', 'another server'])('a log-out on %s closes the socket', async (which) => {
    const { context, page } = await visitor()
    const tab = await context.newPage()
    // Cookies know no ports: both servers are the same site.
    await tab.goto(servers[which === 'another server' ? 1 : 0].origin)
    await tab.getByRole('button', { name: 'Log out' }).click()
    await tab.locator('#hello', { hasText: 'stranger' }).waitFor()
    expect(await live(page, 'your session has ended: terminated')).toBe(true)
  })

  test('who logs in again loses the sockets of the old id', async () => {
    const { context, page } = await visitor()
    const tab = await context.newPage()
    await tab.goto(servers[0].origin)
    await tab.locator('input[name=name]').fill('grace')
    await tab.getByRole('button', { name: 'Log in' }).click()
    await live(tab, 'Hello grace, your cart: empty')
    expect(await live(page, 'your session has ended: rotated')).toBe(true)
  })

  test('a page of another origin gets no socket, though the browser sends the cookie along', async () => {
    // Another port is another origin, and the same site: SameSite=Lax holds no cookie back.
    const { page } = await visitor(servers[1])
    const answer = await page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const socket = new WebSocket(url)
          socket.addEventListener('open', () => resolve('opened'))
          socket.addEventListener('close', () => resolve('refused'))
        }),
      address(servers[0]),
    )
    expect(answer).toBe('refused')
  })
})

test('a program is told why it gets no socket', async () => {
  const socket = new Client(address(servers[0]), { origin: 'https://evil.example' })
  const [error] = await once(socket, 'error')
  expect(error.message).toBe('Unexpected server response: 403')
})

test('a visitor without a session gets a socket, as pages do', async () => {
  const socket = new Client(address(servers[0]))
  onTestFinished(() => socket.terminate())
  await once(socket, 'open')
  socket.send('cart?')
  const [message] = await once(socket, 'message')
  expect(String(message)).toBe('Hello stranger, your cart: empty')
})
