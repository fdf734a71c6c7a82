import { expect } from 'vitest'
import { Browser } from '../../helpers/browser.ts'

const headers = { 'content-type': 'application/x-www-form-urlencoded' }

/** Plays the story that every example tells: log in under a new id, fill the cart, log out for good. */
export async function visitShop(origin) {
  const shop = (path = '/') => origin + path
  const post = (browser, path, body = '') => browser.post(shop(path), { headers, body, redirect: 'follow' })

  const browser = new Browser()
  expect(await browser.get(shop())).toMatchObject({ body: 'Hello stranger, your cart: empty\n', setCookies: [] })
  expect((await post(browser, '/cart', 'item=book')).body).toBe('Hello stranger, your cart: book\n')
  const before = browser.clone()
  expect((await post(browser, '/login', 'name=ada')).body).toBe('Hello ada, your cart: book\n')
  expect((await before.get(shop())).body).toBe('Hello stranger, your cart: empty\n')

  await Promise.all(['pen', 'ink', 'map'].map((item) => post(browser, '/cart', `item=${item}`)))
  const { body } = await browser.get(shop())
  const [, cart = ''] = /^Hello ada, your cart: (.*)\n$/.exec(body) ?? []
  expect(cart.split(', ').toSorted()).toEqual(['book', 'ink', 'map', 'pen'])

  const thief = browser.clone()
  expect((await post(browser, '/login', 'name=bob')).body).toBe('Hello bob, your cart: empty\n')
  expect((await thief.get(shop())).body).toBe('Hello stranger, your cart: empty\n')
  const last = browser.clone()
  expect((await post(browser, '/logout')).body).toBe('Hello stranger, your cart: empty\n')
  expect(browser.cookie('vishnu')).toBeUndefined()
  expect((await last.get(shop())).body).toBe('Hello stranger, your cart: empty\n')
}
