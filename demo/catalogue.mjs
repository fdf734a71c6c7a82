export const products = [
  { id: 'assam', name: 'Assam', about: 'Malty and strong. Takes milk well.', cents: 690, colour: '#8a3b12' },
  { id: 'darjeeling', name: 'Darjeeling', about: 'First flush, light and flowery.', cents: 1240, colour: '#c07a2c' },
  { id: 'earl-grey', name: 'Earl Grey', about: 'Black tea with oil of bergamot.', cents: 780, colour: '#6b3a2a' },
  { id: 'oolong', name: 'Oolong', about: 'Half oxidised, with a scent of lilac.', cents: 1490, colour: '#b08d3e' },
  { id: 'sencha', name: 'Sencha', about: 'Steamed green tea. Fresh, a little grassy.', cents: 980, colour: '#7d9c3c' },
  { id: 'rooibos', name: 'Rooibos', about: 'No tea at all, and no caffeine.', cents: 560, colour: '#a8421f' },
]

export function productOf(id) {
  return products.find((product) => product.id === id)
}

const euros = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' })

export function price(cents) {
  return euros.format(cents / 100)
}

/** Shown on the log-in page. A real shop keeps a slow, salted hash of each password. */
export const demoUsers = ['ada', 'alan', 'grace']
export const demoPassword = 'teatime'
