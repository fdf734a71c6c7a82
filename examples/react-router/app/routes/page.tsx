import { Link } from 'react-router'
import { sessions } from '../sessions.server'
import type { Route } from './+types/page'

export async function loader({ params, context }: Route.LoaderArgs) {
  const page = Number(params.page)
  const session = await sessions.get(context)
  session.set(`page${page}`, true)
  const seen = session.keys().flatMap((key) => /^page(\d+)$/.exec(key)?.[1] ?? [])
  return { page, seen: seen.map(Number).toSorted((one, other) => one - other) }
}

export default function Page({ loaderData: { page, seen } }: Route.ComponentProps) {
  return (
    <main>
      <p id="page">{`Page ${page}, seen: ${seen.join(' ')}`}</p>
      <Link to="/">Home</Link>
    </main>
  )
}
