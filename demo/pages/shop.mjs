import { Router } from 'express'
import { price, productOf, products } from '../catalogue.mjs'
import { html } from '../html.mjs'
import { page } from '../layout.mjs'

export function shop(sessions) {
  const router = Router()

  router.get('/', async (req, res) => {
    const session = await sessions.get(req)
    const added = productOf(req.query.added)
    const content = html`
      ${
        added &&
        html`<p class="notice" role="status">${added.name} is in your cart. <a href="/cart">See the cart</a></p>`
      }
      <p class="lead">
        Put something into the cart in two tabs at once, log in, restart the server: nothing gets lost. What it takes is
        shown on the page of <a href="/session">your session</a>.
      </p>
      <ul class="products">
        ${products.map(productCard)}
      </ul>
    `
    res.send(page({ title: 'Teas', path: '/', session, content }))
  })

  router.post('/cart/add', async (req, res) => {
    const product = productOf(req.body?.product)
    if (!product) return res.redirect(303, '/')
    const session = await sessions.get(req)
    if (!session.has('since')) session.set('since', new Date())
    // Read, changed and stored in one step: what another tab adds at this moment is kept.
    await session.update('cart', (cart = {}) => ({ ...cart, [product.id]: (cart[product.id] ?? 0) + 1 }))
    res.redirect(303, `/?added=${product.id}`)
  })

  return router
}

function productCard({ id, name, about, cents, colour }) {
  return html`<li>
    <svg viewBox="0 0 64 48" width="96" height="72" aria-hidden="true">
      <path d="M8 12h40v10a18 18 0 0 1-18 18h-4A18 18 0 0 1 8 22z" fill="#fdfdfb" stroke="#8b8f86" stroke-width="2" />
      <ellipse cx="28" cy="13" rx="19" ry="4.5" fill="${colour}" stroke="#8b8f86" stroke-width="2" />
      <path d="M47 16h4a6 6 0 0 1 0 13h-6" fill="none" stroke="#8b8f86" stroke-width="3" />
      <path d="M6 44h44" stroke="#8b8f86" stroke-width="3" stroke-linecap="round" />
    </svg>
    <h2>${name}</h2>
    <p>${about}</p>
    <form method="post" action="/cart/add">
      <span class="price">${price(cents)}</span>
      <button name="product" value="${id}">Add <span class="unseen">${name}</span> to cart</button>
    </form>
  </li>`
}
