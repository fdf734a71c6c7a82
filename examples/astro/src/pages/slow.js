import { slowService } from '../lib/slow-service.js'

export async function GET({ locals }) {
  const session = await locals.session()
  await slowService()
  session.set('slow', true)
  return new Response('That took its time\n')
}
