import { Form, Link } from 'react-router'
import { sessions } from '../sessions.server'
import type { Route } from './+types/home'

export async function loader({ context }: Route.LoaderArgs) {
  const session = await sessions.get(context)
  return { user: session.get('user') ?? 'stranger', cart: session.get('cart') ?? [] }
}

const pages = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

export default function Home({ loaderData: { user, cart } }: Route.ComponentProps) {
  return (
    <main>
      <p id="hello">{`Hello ${user}, your cart: ${cart.join(', ') || 'empty'}`}</p>
      <Form method="post" action="/login">
        <input name="name" aria-label="Name" required />
        <button>Log in</button>
      </Form>
      <Form method="post" action="/cart">
        <input name="item" aria-label="Item" required />
        <button>Add</button>
      </Form>
      <Form method="post" action="/logout">
        <button>Log out</button>
      </Form>
      {pages.map((page) => (
        <Link key={page} to={`/pages/${page}`}>{`Page ${page} `}</Link>
      ))}
    </main>
  )
}
