import { Readable } from 'node:stream'
import { defineHandler } from 'nitro'
import { redirect } from 'nitro/h3'
import { stage } from '../utils/stage.js'

export default defineHandler(async (event) => {
  const { sessions, handler } = stage
  const request = { method: event.req.method, path: event.url.pathname, session: () => sessions.get(event) }
  const { status, headers = {}, body = '' } = await handler(request)
  for (const [name, value] of Object.entries(headers)) {
    for (const item of [value].flat()) event.res.headers.append(name, item)
  }
  if (typeof headers.location === 'string') return redirect(headers.location, status)
  event.res.status = status
  return typeof body === 'string' ? body : Readable.toWeb(Readable.from(body))
})
