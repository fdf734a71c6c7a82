import { slowService } from '../../lib/server/slow-service.js'

export async function load({ locals }) {
  const session = await locals.session()
  await session.update('cart', (cart = []) => [...cart, 'ticket'])
  // A promise that is not awaited here arrives later in the page, when the session's cookie has left.
  return { first: 'first part', second: slowService().then(() => 'second part') }
}
