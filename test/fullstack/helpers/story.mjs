import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launchChromium } from '../../browser/helpers/chromium.mjs'
import { Gate } from './gate.mjs'

const PAGES = Array.from({ length: 10 }, (_, index) => index + 1)
const PATIENCE = 60_000
/** React Router has robots, which it knows by this header, wait for the whole page. */
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36'

/**
 * What a visitor of the example application meets, in a real Chromium, as tests. `start` gets the environment that the
 * application is to run in, and resolves to its `{ origin, stop }`. `failKeepsChanges`: whether what a handler changed before
 * it threw is stored.
 */
export function story(server, start, { failKeepsChanges = false } = {}) {
  describe(`the story of a visitor, on ${server}`, () => {
    let gate, running, browser
    const contexts = []

    beforeAll(async () => {
      gate = await Gate.open()
      running = await start({ SLOW_URL: gate.url })
      // Development servers compile a page when it is first asked for.
      await fetch(running.origin)
      browser = await launchChromium()
    })
    afterEach(() => Promise.all(contexts.splice(0).map((context) => context.close())))
    afterAll(async () => {
      await browser?.close()
      await running?.stop()
      await gate?.close()
    })

    async function visitor({ cookies = [], ...options } = {}) {
      const context = await browser.newContext({ baseURL: running.origin, ...options })
      contexts.push(context)
      context.setDefaultTimeout(PATIENCE)
      await context.addCookies(cookies)
      const page = await context.newPage()
      await page.goto('/')
      return new Visitor(context, page)
    }

    test('a visitor logs in under a new id, and the cart is there after a reload', async () => {
      const ada = await visitor()
      await ada.sees('Hello stranger, your cart: empty')
      expect(await ada.cookies()).toEqual([])
      await ada.add('book')
      await ada.sees('Hello stranger, your cart: book')
      const before = await ada.cookies()
      await ada.logIn('ada')
      await ada.sees('Hello ada, your cart: book')
      expect((await ada.cookies()).map(({ value }) => value)).not.toEqual(before.map(({ value }) => value))
      await ada.add('pen')
      await ada.sees('Hello ada, your cart: book, pen')
      await ada.page.reload()
      await ada.sees('Hello ada, your cart: book, pen')

      const thief = await visitor({ cookies: before })
      await thief.sees('Hello stranger, your cart: empty')
    })

    test('ten client navigations at once, each with a change of its own, are all kept', async () => {
      const ada = await visitor()
      await ada.logIn('ada')
      await ada.sees('Hello ada, your cart: empty')
      const tabs = await Promise.all(PAGES.map(() => ada.newTab('/')))
      await Promise.all(
        PAGES.map(async (page, index) => {
          await tabs[index].locator(`a[href$="/pages/${page}"]`).click()
          await tabs[index].locator('#page', { hasText: new RegExp(`^Page ${page}, seen: .*\\b${page}\\b`) }).waitFor()
        }),
      )
      const last = await ada.newTab('/pages/1')
      const seen = last.locator('#page', { hasText: /seen: 1 / })
      expect(await seen.textContent()).toBe(`Page 1, seen: ${PAGES.join(' ')}`)
    })

    test('links are followed by the client, without a new document', async () => {
      const ada = await visitor()
      const followLink = async () => {
        await ada.page.goto('/')
        await ada.page.evaluate(() => (window.isFirstDocument = true))
        await ada.page.locator('a[href$="/pages/3"]').click()
        await ada.page.locator('#page', { hasText: 'Page 3, seen: 3' }).waitFor()
        return ada.page.evaluate(() => window.isFirstDocument === true)
      }
      // Before the scripts have come a link is followed by the browser.
      await expect.poll(followLink, { timeout: 30_000 }).toBe(true)
    })

    test('a log-out while a slow request is under way stays a log-out, and its answer brings no cookie', async () => {
      const ada = await visitor()
      await ada.logIn('ada')
      await ada.sees('Hello ada, your cart: empty')
      const before = await ada.cookies()
      const arrival = gate.next()
      const tab = await ada.newTab('/')
      const slow = tab.waitForResponse('/slow')
      const fetched = tab.evaluate(() => fetch('/slow').then((response) => response.text()))
      const letPass = await arrival
      await ada.logOut()
      await ada.sees('Hello stranger, your cart: empty')
      letPass()
      await fetched
      expect(await (await slow).headerValue('set-cookie')).toBeNull()
      expect(await ada.cookies()).toEqual([])
      await ada.page.reload()
      await ada.sees('Hello stranger, your cart: empty')
      const thief = await visitor({ cookies: before })
      await thief.sees('Hello stranger, your cart: empty')
    })

    test('a stream begins when its change is stored: the cookie is in its head, and the second part comes later', async () => {
      const arrival = gate.next()
      const { headers, body } = await fetch(`${running.origin}/stream`, { headers: { 'user-agent': BROWSER } })
      const [pair] = headers.getSetCookie()
      const [cookieName, value] = pair.split(';')[0].split('=')
      const reader = body.pipeThrough(new TextDecoderStream()).getReader()
      const read = await readUntil(reader, 'first part')
      expect(read).not.toContain('second part')
      const letPass = await arrival
      const ada = await visitor({ cookies: [{ name: cookieName, value, url: running.origin }] })
      await ada.sees('Hello stranger, your cart: ticket')
      letPass()
      await readUntil(reader, 'second part')
    })

    test('what was changed before a redirect is stored when the browser follows, without scripts too', async () => {
      const ada = await visitor({ javaScriptEnabled: false })
      const answers = []
      ada.page.on('response', (response) => answers.push(`${response.request().method()} ${response.status()}`))
      await ada.add('book')
      await ada.sees('Hello stranger, your cart: book')
      expect(answers.slice(0, 2)).toEqual([expect.stringMatching(/^POST 30[23]$/), 'GET 200'])
    })

    test("a handler that throws is answered by the framework's error page, and the session goes on", async () => {
      const ada = await visitor()
      await ada.logIn('ada')
      await ada.sees('Hello ada, your cart: empty')
      const answer = ada.page.waitForResponse('/fail')
      // Where the answer is empty, Chromium puts an error page of its own in its place.
      await ada.page.goto('/fail').catch(() => undefined)
      expect((await answer).status()).toBe(500)
      ada.page = await ada.newTab('/')
      await ada.sees(`Hello ada, your cart: ${failKeepsChanges ? 'failed' : 'empty'}`)
    })
  })
}

async function readUntil(reader, text) {
  let read = ''
  while (!read.includes(text)) {
    const { value, done } = await reader.read()
    if (done) throw new Error(`The stream ended without "${text}": ${read}`)
    read += value
  }
  return read
}

class Visitor {
  constructor(context, page) {
    this.context = context
    this.page = page
  }

  async newTab(path) {
    const page = await this.context.newPage()
    await page.goto(path)
    return page
  }

  /** The session's cookies as the browser holds them. */
  async cookies() {
    const cookies = await this.context.cookies()
    return cookies.filter(({ name }) => name === 'vishnu')
  }

  /** Waits until the page says exactly this. */
  async sees(hello) {
    await this.page
      .locator('#hello')
      .and(this.page.getByText(hello, { exact: true }))
      .waitFor()
  }

  async logIn(name) {
    await this.page.locator('input[name=name]').fill(name)
    await this.page.getByRole('button', { name: 'Log in' }).click()
  }

  async add(item) {
    await this.page.locator('input[name=item]').fill(item)
    await this.page.getByRole('button', { name: 'Add', exact: true }).click()
  }

  async logOut() {
    await this.page.getByRole('button', { name: 'Log out' }).click()
  }
}
