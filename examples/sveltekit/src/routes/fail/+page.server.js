export async function load({ locals }) {
  const session = await locals.session()
  session.set('cart', [...(session.get('cart') ?? []), 'failed'])
  throw new Error('Thrown on purpose, after a change')
}
