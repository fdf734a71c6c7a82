import { redirect } from '@sveltejs/kit'

export async function load({ locals }) {
  const session = await locals.session()
  return { user: session.get('user') ?? 'stranger', cart: session.get('cart') ?? [] }
}

export const actions = {
  // Here you would check a password.
  login: async ({ locals, request }) => {
    const form = await request.formData()
    const session = await locals.session()
    if (session.has('user')) session.clear() // nobody inherits somebody else's cart
    session.set('user', form.get('name'))
    session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
    redirect(303, '/')
  },

  add: async ({ locals, request }) => {
    const form = await request.formData()
    const session = await locals.session()
    await session.update('cart', (cart = []) => [...cart, form.get('item')])
    redirect(303, '/')
  },

  logout: async ({ locals }) => {
    const session = await locals.session()
    await session.terminate()
    redirect(303, '/')
  },
}
