import { Suspense } from 'react'
import { Await } from 'react-router'
import { sessions } from '../sessions.server'
import { slowService } from '../slow-service.server'
import type { Route } from './+types/stream'

export async function loader({ context }: Route.LoaderArgs) {
  const session = await sessions.get(context)
  await session.update('cart', (cart = []) => [...cart, 'ticket'])
  // What is not awaited here comes after the head of the response: it can read the session, and not set anything.
  return { later: slowService().then(() => 'second part') }
}

export default function Stream({ loaderData: { later } }: Route.ComponentProps) {
  return (
    <main>
      <p>first part</p>
      <Suspense fallback={<p>...</p>}>
        <Await resolve={later}>{(text) => <p>{text}</p>}</Await>
      </Suspense>
    </main>
  )
}
