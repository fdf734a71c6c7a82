import { NextResponse } from 'next/server'
import { withSessions } from 'vishnu/next'
import { sessions } from './lib/sessions'

// A page can't renew the session's cookie: this does it for all of them, and may keep visitors out of some.
export const proxy = withSessions(sessions, async (request) => {
  await sessions.get(request)
  return NextResponse.next()
})

export const config = { matcher: ['/', '/pages/:path*'] }
