import Link from 'next/link'
import { readSession } from 'vishnu/next'
import { sessions } from '../lib/sessions'
import { addToCart, logIn, logOut } from './actions'

const pages = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

export default async function Home() {
  const session = await readSession(sessions)
  const { user = 'stranger', cart = [] } = Object.fromEntries(session.entries())
  return (
    <main>
      <p id="hello">{`Hello ${user}, your cart: ${cart.join(', ') || 'empty'}`}</p>
      <form action={logIn}>
        <input name="name" aria-label="Name" />
        <button>Log in</button>
      </form>
      <form action={addToCart}>
        <input name="item" aria-label="Item" />
        <button>Add</button>
      </form>
      <form action={logOut}>
        <button>Log out</button>
      </form>
      {pages.map((page) => (
        <Link key={page} href={`/pages/${page}`}>{`Page ${page} `}</Link>
      ))}
    </main>
  )
}
