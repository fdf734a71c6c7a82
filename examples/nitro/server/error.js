import { defineErrorHandler } from 'nitro'

// Nitro's own answers what it does not know with 500, and without the cookies of the response.
export default defineErrorHandler(({ status, message, unhandled }, event) => {
  const body = unhandled ? 'Something went wrong\n' : `${message}\n`
  return new Response(body, { status, headers: event.res.errHeaders })
})
