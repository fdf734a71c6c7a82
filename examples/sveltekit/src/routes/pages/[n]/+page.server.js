import { error } from '@sveltejs/kit'

const PAGES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

export async function load({ locals, params }) {
  const page = Number(params.n)
  if (!PAGES.includes(page)) error(404, 'There are ten pages')
  const session = await locals.session()
  session.set(`page${page}`, true)
  return { page, seen: PAGES.filter((each) => session.has(`page${each}`)) }
}
