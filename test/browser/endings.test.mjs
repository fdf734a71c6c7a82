import { expect, test } from 'vitest'
import { openShop, textFor } from './helpers/shop.mjs'

const shop = openShop()

test('sessions survive when the server is killed and started again', async () => {
  const visitor = await shop.visitor()
  await visitor.addToCart('Sencha')
  await visitor.logIn('ada')
  const publicId = await visitor.publicId()
  const leaver = await shop.visitor()
  await leaver.logIn('grace')
  const cookie = await leaver.cookie()
  await leaver.page.getByRole('button', { name: 'Log out' }).click()
  await leaver.page.getByRole('link', { name: 'Log in' }).waitFor()

  // What the pages still load, such as the icon, would be an error of theirs.
  for (const { page } of [visitor, leaver]) await page.waitForLoadState('networkidle')
  await shop.demo.crashAndRestart()

  expect(await visitor.user()).toBe('ada')
  expect(await visitor.cart()).toEqual({ Sencha: 1 })
  expect(await visitor.publicId()).toBe(publicId)
  expect(await textFor(cookie, '/cart', shop.demo.origin)).not.toContain('grace')
})

test('a session ends after its own timeout, for the browser and for whoever kept the cookie', async () => {
  const visitor = await shop.visitor()
  await visitor.logIn('alan')
  await visitor.page.goto('/session')
  await visitor.page.getByLabel('Seconds without a request').fill('2')
  await visitor.page.getByRole('button', { name: 'Set the timeout' }).click()
  await visitor.page.getByText('2 s without a request').waitFor()
  const cookie = await visitor.cookie()
  expect(cookie.value).toMatch(/./)

  await expect.poll(() => visitor.cookie(), { interval: 100, timeout: 20_000 }).toBeUndefined()
  // Every look at a session that still lives prolongs it: the next one comes when it must be over.
  const isOver = async () => !(await textFor(cookie, '/cart', shop.demo.origin)).includes('alan')
  await expect.poll(isOver, { interval: 2500, timeout: 20_000 }).toBe(true)
  expect(await visitor.user()).toBeUndefined()
  await visitor.page.goto('/session')
  await visitor.page.getByText('nothing is stored of a visitor').waitFor()
})
