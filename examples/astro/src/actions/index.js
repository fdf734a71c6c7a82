import { defineAction } from 'astro:actions'

export const server = {
  // Here you would check a password.
  login: defineAction({
    accept: 'form',
    handler: async (form, { locals }) => {
      const session = await locals.session()
      if (session.has('user')) session.clear() // nobody inherits somebody else's cart
      session.set('user', form.get('name'))
      session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
    },
  }),

  add: defineAction({
    accept: 'form',
    handler: async (form, { locals }) => {
      const session = await locals.session()
      await session.update('cart', (cart = []) => [...cart, form.get('item')])
    },
  }),

  logout: defineAction({
    accept: 'form',
    handler: async (_form, { locals }) => {
      const session = await locals.session()
      await session.terminate()
    },
  }),
}
