/** Express's last middleware. An error of a session says by itself how it is to be answered, 503 for a backend that is down. */
export function failure(error, req, res, next) {
  if (res.headersSent) return next(error)
  const status = error.status ?? 500
  if (status >= 500) console.error(error)
  res
    .status(status)
    .type('text')
    .send(`${error.code ?? 'Error'}: this did not work. Please try again.\n`)
}
