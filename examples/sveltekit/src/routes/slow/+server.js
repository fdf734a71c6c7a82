import { text } from '@sveltejs/kit'
import { slowService } from '../../lib/server/slow-service.js'

export async function GET({ locals }) {
  const session = await locals.session()
  await slowService()
  session.set('slow', true)
  return text('That took its time\n')
}
