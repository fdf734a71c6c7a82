import { Router } from 'express'
import { price, productOf, products } from '../catalogue.mjs'
import { html } from '../html.mjs'
import { page } from '../layout.mjs'

const MOST = 99

export function cart(sessions) {
  const router = Router()

  router.get('/cart', async (req, res) => {
    const session = await sessions.get(req)
    const amounts = session.get('cart') ?? {}
    const lines = products
      .filter(({ id }) => amounts[id] > 0)
      .map((product) => ({ product, amount: amounts[product.id] }))
    const total = lines.reduce((sum, { product, amount }) => sum + product.cents * amount, 0)
    const content =
      lines.length === 0
        ? html`<p>It is empty. <a href="/">Choose a tea</a></p>`
        : html`
            <ul class="lines">
              ${lines.map(cartLine)}
            </ul>
            <p class="total">Total <strong>${price(total)}</strong></p>
          `
    res.send(page({ title: 'Your cart', path: '/cart', session, content }))
  })

  router.post('/cart/amount', async (req, res) => {
    const product = productOf(req.body?.product)
    const amount = Number(req.body?.amount)
    if (product && Number.isInteger(amount) && amount >= 0 && amount <= MOST) {
      const session = await sessions.get(req)
      if (session.has('cart')) await session.update('cart', (amounts = {}) => withAmount(amounts, product.id, amount))
    }
    res.redirect(303, '/cart')
  })

  return router
}

function withAmount(amounts, id, amount) {
  const { [id]: _, ...others } = amounts
  return amount > 0 ? { ...others, [id]: amount } : others
}

function cartLine({ product: { id, name, cents }, amount }) {
  return html`<li>
    <h2>${name}</h2>
    <form method="post" action="/cart/amount">
      <input type="hidden" name="product" value="${id}" />
      <label
        >Amount <span class="unseen">of ${name}</span>
        <input type="number" name="amount" value="${amount}" min="0" max="${MOST}" required
      /></label>
      <button class="quiet">Change <span class="unseen">the amount of ${name}</span></button>
    </form>
    <form method="post" action="/cart/amount">
      <input type="hidden" name="product" value="${id}" />
      <button class="quiet" name="amount" value="0">Remove <span class="unseen">${name}</span></button>
    </form>
    <p class="price">${price(cents * amount)}</p>
  </li>`
}
