'use server'

import { redirect } from 'next/navigation'
import { sessionAction } from 'vishnu/next'
import { sessions } from '../lib/sessions'

// Here you would check a password.
export const logIn = sessionAction(sessions, async (form) => {
  const session = await sessions.current()
  if (session.has('user')) session.clear() // nobody inherits somebody else's cart
  session.set('user', form.get('name'))
  session.regenerate({ authenticated: true }) // an id that someone planted or saw is now worthless
  redirect('/')
})

export const addToCart = sessionAction(sessions, async (form) => {
  const session = await sessions.current()
  await session.update('cart', (cart = []) => [...cart, form.get('item')])
  redirect('/')
})

export const logOut = sessionAction(sessions, async () => {
  const session = await sessions.current()
  await session.terminate()
  redirect('/')
})

/** Remembers a page, and returns all that were seen. */
export const seePage = sessionAction(sessions, async (n) => {
  const session = await sessions.current()
  session.set(`page${n}`, true)
  return [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].filter((page) => session.has(`page${page}`))
})
