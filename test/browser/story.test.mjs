import { createServer } from 'node:http'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { openShop, textFor } from './helpers/shop.mjs'

const shop = openShop()

test('who only looks around gets no cookie', async () => {
  const visitor = await shop.visitor()
  for (const path of ['/', '/cart', '/session', '/parallel', '/log-in']) await visitor.page.goto(path)
  expect(await visitor.context.cookies()).toEqual([])
})

test('the cookie is kept from scripts, from plain HTTP elsewhere and from other sites, and is for this host only', async () => {
  const visitor = await shop.visitor()
  await visitor.addToCart('Assam')
  expect(await visitor.cookie()).toMatchObject({
    name: '__Host-shop',
    domain: 'localhost',
    path: '/',
    httpOnly: true,
    secure: true,
    sameSite: 'Lax',
  })
  expect(await visitor.page.evaluate(() => document.cookie)).toBe('')
})

test('the cart is kept over the log-in, and the id from before it opens nothing', async () => {
  const visitor = await shop.visitor()
  await visitor.addToCart('Oolong')
  const before = await visitor.cookie()
  const publicId = await visitor.publicId()
  expect(await textFor(before, '/cart', shop.demo.origin)).toContain('Oolong')

  await visitor.logIn('ada')
  expect(await visitor.cart()).toEqual({ Oolong: 1 })
  expect(await visitor.publicId()).toBe(publicId)

  const asBefore = await textFor(before, '/cart', shop.demo.origin)
  expect(asBefore).toContain('It is empty')
  expect(asBefore).not.toContain('ada')
})

test("nobody inherits another user's cart", async () => {
  const visitor = await shop.visitor()
  await visitor.logIn('ada')
  await visitor.addToCart('Assam')
  await visitor.logIn('grace')
  expect(await visitor.cart()).toEqual({})
})

test('amounts in the cart are changed and removed', async () => {
  const visitor = await shop.visitor()
  await visitor.addToCart('Assam')
  await visitor.addToCart('Sencha')
  await visitor.page.goto('/cart')
  await visitor.page.getByLabel('Amount of Assam').fill('7')
  await visitor.page.getByRole('button', { name: 'Change the amount of Assam' }).click()
  await visitor.page.getByRole('button', { name: 'Remove Sencha' }).click()
  expect(await visitor.cart()).toEqual({ Assam: 7 })
})

test('two tabs that add different teas at the same time lose nothing', async () => {
  const visitor = await shop.visitor()
  await visitor.addToCart('Rooibos')
  const other = await visitor.newTab()
  for (let round = 0; round < 5; round++) {
    await Promise.all([visitor.addToCart('Assam'), visitor.addToCart('Sencha', other)])
  }
  expect(await visitor.cart()).toEqual({ Rooibos: 1, Assam: 5, Sencha: 5 })
})

test('a log-out in one tab is one in all tabs, and the cookie is gone', async () => {
  const visitor = await shop.visitor()
  await visitor.logIn('alan')
  const other = await visitor.newTab('/session')
  const cookie = await visitor.cookie()
  await visitor.page.getByRole('button', { name: 'Log out' }).click()
  await visitor.page.getByRole('link', { name: 'Log in' }).waitFor()

  expect(await visitor.user(other)).toBeUndefined()
  expect(await visitor.cookie()).toBeUndefined()
  expect(await textFor(cookie, '/session', shop.demo.origin)).not.toContain('alan')
})

test("the session's page shows what was read and written, to the byte", async () => {
  const visitor = await shop.visitor()
  await visitor.addToCart('Darjeeling')
  await visitor.page.goto('/session')
  await visitor.page.getByLabel('Seconds without a request').fill('900')
  await visitor.page.getByRole('button', { name: 'Set the timeout' }).click()
  await visitor.page.getByText('15 min without a request').waitFor()

  const rows = visitor.page.getByRole('group', { name: 'Operations of POST /session/timeout' }).getByRole('row')
  const operations = await rows.allInnerTexts()
  expect(operations.slice(1).map((row) => row.split(/\s+/).slice(0, 3))).toEqual([
    ['read', expect.stringMatching(/^[1-9]\d+$/), 'found'],
    ['replace', expect.stringMatching(/^[1-9]\d+$/), 'stored'],
  ])
  const own = visitor.page.getByRole('group', { name: 'Operations of GET /session' })
  expect(await own.getByRole('row').count()).toBe(2)
})

test('a wrong timeout is refused with a word on what is right', async () => {
  const visitor = await shop.visitor()
  await visitor.addToCart('Assam')
  const publicId = await visitor.publicId()
  const { status, body } = await visitor.page.evaluate(async () => {
    const response = await fetch('/session/timeout', { method: 'POST', body: new URLSearchParams({ seconds: '1.5' }) })
    return { status: response.status, body: await response.text() }
  })
  expect({ status, body }).toEqual({ status: 400, body: expect.stringContaining('A whole number from 1 to') })
  expect(body).toContain(publicId)
  expect(shop.errors.splice(0)).toEqual([expect.stringContaining('400')])
})

test('a form on another site changes nothing', async () => {
  const visitor = await shop.visitor()
  await visitor.logIn('ada')
  const trap = createServer((_, res) => {
    res.setHeader('Content-Type', 'text/html')
    res.end(`<form method="post" action="${shop.demo.origin}/log-out"><button>Win a prize</button></form>`)
  })
  trap.listen(0, '127.0.0.1')
  await once(trap, 'listening')
  try {
    const tab = await visitor.newTab(`http://127.0.0.1:${trap.address().port}/`)
    await tab.getByRole('button').click()
    await tab.getByText('This form was sent from another site.').waitFor()
  } finally {
    trap.close()
    trap.closeAllConnections()
  }
  expect(await visitor.user()).toBe('ada')
  expect(shop.errors.splice(0).filter((error) => !error.includes('403') && !error.includes('favicon'))).toEqual([])
})

test('all but the page with parallel requests works without JavaScript', async () => {
  const visitor = await shop.visitor({ javaScriptEnabled: false })
  await visitor.addToCart('Earl Grey')
  await visitor.logIn('grace')
  expect(await visitor.cart()).toEqual({ 'Earl Grey': 1 })
  await visitor.page.goto('/session')
  await visitor.page.getByRole('button', { name: 'No timeout' }).click()
  await visitor.page.getByText('the cookie ends when the browser is closed').first().waitFor()
  expect((await visitor.cookie()).expires).toBe(-1)
  await visitor.page.goto('/parallel')
  await visitor.page.getByText('This page needs JavaScript').waitFor()
})
