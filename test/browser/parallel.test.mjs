import { expect, test } from 'vitest'
import { openShop } from './helpers/shop.mjs'

const shop = openShop()

test.each(['a visitor without a session', 'somebody who is logged in'])(
  'of twenty increments and twenty keys at the same time none is lost, for %s',
  async (who) => {
    const visitor = await shop.visitor()
    if (who.includes('logged in')) await visitor.logIn('ada')
    await visitor.page.goto('/parallel')
    for (let round = 0; round < 3; round++) {
      await visitor.page.getByRole('button', { name: 'Send 40 requests' }).click()
      await visitor.page.getByRole('status').getByText('40 requests, 0 failed, 40 changes stored, 0 lost.').waitFor()
      const rows = await visitor.page.getByRole('group', { name: 'Counters' }).getByRole('row').allInnerTexts()
      expect(rows.slice(1).map((row) => row.split('\t').slice(1))).toEqual([
        ['20', '20', '20', '0'],
        ['20', '20', '20', '0'],
      ])
    }
  },
)

test('who logs out while ten slow requests write stays logged out', async () => {
  const visitor = await shop.visitor()
  for (const name of ['ada', 'grace', 'alan']) {
    await visitor.logIn(name)
    await visitor.page.goto('/parallel')
    await visitor.page.getByRole('button', { name: 'Log out during 10 slow requests' }).click()
    await visitor.page.getByRole('status').getByText('You stayed logged out.').waitFor()

    const tiles = await visitor.page.locator('.tiles dd').allInnerTexts()
    expect(tiles).toEqual(['10', '5', '5', '0', 'nobody'])
    await visitor.page.getByRole('banner').getByRole('link', { name: 'Log in' }).waitFor()
    expect(await visitor.cookie()).toBeUndefined()
    expect(await visitor.user()).toBeUndefined()
  }
})
