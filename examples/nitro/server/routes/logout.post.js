import { defineHandler } from 'nitro'
import { redirect } from 'nitro/h3'
import { sessions } from '../utils/sessions.js'

export default defineHandler(async (event) => {
  const session = await sessions.get(event)
  await session.terminate()
  return redirect('/', 303)
})
