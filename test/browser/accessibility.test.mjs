import axe from 'axe-core'
import { expect, test } from 'vitest'
import { openShop } from './helpers/shop.mjs'

const shop = openShop()

/** Every page in every state that looks different: what is visited, by whom. */
const states = [
  ['the shop', '/', {}],
  ['the shop after something was added', '/?added=assam', { cart: true }],
  ['an empty cart', '/cart', {}],
  ['a cart', '/cart', { cart: true }],
  ['the log-in page', '/log-in', {}],
  ['the page of a visitor without a session', '/session', {}],
  ['the page of a session', '/session', { cart: true, user: true }],
  ['the page with parallel requests', '/parallel', {}],
  ['the page with parallel requests for a user', '/parallel', { user: true }],
]

async function visit(path, { cart, user }) {
  const visitor = await shop.visitor()
  if (cart) await visitor.addToCart('Assam')
  if (user) await visitor.logIn('ada')
  await visitor.page.goto(path)
  return visitor
}

async function violations(page) {
  await page.evaluate(axe.source)
  const found = {}
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme })
    const report = await page.evaluate(() => window.axe.run())
    found[colorScheme] = report.violations.map(describeViolation)
  }
  return found
}

function describeViolation({ id, impact, nodes }) {
  return `${impact}: ${id} at ${nodes.map(({ target }) => target).join(' and ')}`
}

test.each(states)(
  "axe finds nothing wrong with %s, light or dark, and it fits a phone's width",
  async (_, path, state) => {
    const { page } = await visit(path, state)
    expect(await violations(page)).toEqual({ light: [], dark: [] })
    await page.setViewportSize({ width: 320, height: 640 })
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320)
  },
)

test('axe finds nothing wrong with a refused log-in, light or dark', async () => {
  const { page } = await visit('/log-in', {})
  await page.getByLabel('Name').fill('mallory')
  await page.getByLabel('Password').fill('guess')
  await page.getByRole('main').getByRole('button').click()
  await page.getByRole('alert').waitFor()
  expect(await violations(page)).toEqual({ light: [], dark: [] })
  expect(shop.errors.splice(0).filter((error) => !error.includes('401'))).toEqual([])
})

test('the colours follow the system from light to dark', async () => {
  const { page } = await visit('/', {})
  await page.emulateMedia({ colorScheme: 'light' })
  const brightness = () =>
    page.evaluate(() => {
      const sum = (colour) => colour.match(/\d+/g).reduce((total, part) => total + Number(part), 0)
      const { backgroundColor, color } = getComputedStyle(document.body)
      return { ground: sum(backgroundColor), text: sum(color) }
    })
  const light = await brightness()
  expect(light.ground).toBeGreaterThan(light.text + 400)
  await page.emulateMedia({ colorScheme: 'dark' })
  const dark = await brightness()
  expect(dark.text).toBeGreaterThan(dark.ground + 400)
})

test('the keyboard alone is enough to skip the header, log in and out, and the focus can always be seen', async () => {
  const { page } = await shop.visitor()
  await page.keyboard.press('Tab')
  expect(await page.evaluate(() => document.activeElement.textContent)).toBe('Skip to the content')

  await tabTo(page.getByRole('link', { name: 'Log in' }))
  await page.keyboard.press('Enter')
  await tabTo(page.getByLabel('Name'))
  await page.keyboard.type('grace')
  await tabTo(page.getByLabel('Password'))
  await page.keyboard.type('teatime')
  await page.keyboard.press('Enter')
  await page.getByText('Logged in as grace').waitFor()
  await tabTo(page.getByRole('button', { name: 'Log out' }))
  await page.keyboard.press('Space')
  await page.getByRole('link', { name: 'Log in' }).waitFor()
})

async function tabTo(target) {
  const page = target.page()
  await target.waitFor()
  // Before the style sheet is there, the focus looks as the browser likes it.
  await page.waitForLoadState()
  for (let presses = 0; presses < 30; presses++) {
    await page.keyboard.press('Tab')
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
    expect(outline).toBe('solid')
    if (await target.evaluate((element) => element === document.activeElement)) return
  }
  throw new Error('The tab key does not lead there')
}
