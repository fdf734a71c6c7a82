const SAFE = ['GET', 'HEAD']

/**
 * Cross-site request forgery: changes are made by POST only, and a cookie with SameSite=Lax is not sent along with a POST
 * from another site. To browsers all ports of localhost are one site, though, and a log-in needs no cookie, so requests
 * that say they come from another origin are refused as well.
 */
export function protect(req, res, next) {
  res.set({
    'Content-Security-Policy':
      "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'same-origin',
  })
  const from = req.get('Sec-Fetch-Site') ?? 'same-origin'
  if (SAFE.includes(req.method) || from === 'same-origin' || from === 'none') next()
  else res.status(403).type('text').send('This form was sent from another site.\n')
}
