import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { launchChromium } from './chromium.mjs'
import { Demo } from './demo.mjs'

/** A demo and a Chromium for all tests of a file. Every test fails that leaves an error in a page's console. */
export function openShop() {
  const shop = { demo: undefined, browser: undefined, errors: [], visitor }
  const contexts = []

  beforeAll(async () => {
    shop.demo = await Demo.start()
    shop.browser = await launchChromium()
  })
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close()
    expect(shop.errors.splice(0)).toEqual([])
  })
  afterAll(async () => {
    await shop.browser?.close()
    await shop.demo?.stop()
  })

  /** Somebody with a browser without cookies, whose first tab shows the shop. */
  async function visitor(options = {}) {
    const context = await shop.browser.newContext({ baseURL: shop.demo.origin, ...options })
    contexts.push(context)
    context.on('console', (message) => {
      if (message.type() === 'error') shop.errors.push(`${message.text()} at ${message.location().url}`)
    })
    context.on('weberror', (failure) => shop.errors.push(failure.error().message))
    const page = await context.newPage()
    await page.goto('/')
    return new Visitor(context, page)
  }

  return shop
}

class Visitor {
  constructor(context, page) {
    this.context = context
    this.page = page
  }

  async newTab(path = '/') {
    const page = await this.context.newPage()
    await page.goto(path)
    return page
  }

  /** The session's cookie as the browser holds it. */
  async cookie() {
    const cookies = await this.context.cookies()
    return cookies.find(({ name }) => name === '__Host-shop')
  }

  async addToCart(tea, page = this.page) {
    await page.goto('/')
    await page.getByRole('button', { name: `Add ${tea} to cart` }).click()
    await page.getByRole('status').getByText(`${tea} is in your cart.`).waitFor()
  }

  /** From the name of a tea to its amount. */
  async cart(page = this.page) {
    await page.goto('/cart')
    const lines = await page.locator('.lines li').all()
    const amounts = await Promise.all(
      lines.map(async (line) => [
        await line.getByRole('heading').textContent(),
        Number(await line.getByRole('spinbutton').inputValue()),
      ]),
    )
    return Object.fromEntries(amounts)
  }

  async logIn(name, page = this.page) {
    await page.goto('/log-in')
    await page.getByLabel('Name').fill(name)
    await page.getByLabel('Password').fill('teatime')
    await page.getByRole('main').getByRole('button', { name: 'Log in' }).click()
    await page.getByText(`Logged in as ${name}`).waitFor()
  }

  /** Who the shop takes this visitor for: undefined for nobody. */
  async user(page = this.page) {
    await page.goto('/cart')
    return /Logged in as (\w+)/.exec(await page.getByRole('banner').textContent())?.[1]
  }

  async publicId(page = this.page) {
    await page.goto('/session')
    return page.locator('dt:text-is("Public id") + dd code').textContent()
  }
}

/** What the shop answers to whoever sends this cookie: a thief, or a request that was on its way for long. */
export async function textFor(cookie, path, origin) {
  const response = await fetch(new URL(path, origin), { headers: { cookie: `${cookie.name}=${cookie.value}` } })
  return response.text()
}
