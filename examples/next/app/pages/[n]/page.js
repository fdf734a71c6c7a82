import { SeenPages } from './seen-pages'

export default async function Page({ params }) {
  const { n } = await params
  return <SeenPages n={Number(n)} />
}
