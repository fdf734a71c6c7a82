import { Router } from 'express'
import { demoPassword, demoUsers } from '../catalogue.mjs'
import { html } from '../html.mjs'
import { page } from '../layout.mjs'

export function account(sessions) {
  const router = Router()

  router.get('/log-in', async (req, res) => {
    res.send(logInPage(await sessions.get(req)))
  })

  router.post('/log-in', async (req, res) => {
    const session = await sessions.get(req)
    const name = String(req.body?.name ?? '').trim()
    if (!demoUsers.includes(name) || req.body.password !== demoPassword) {
      return res.status(401).send(logInPage(session, name))
    }
    // A visitor's cart becomes the user's; another user's cart does not.
    if (session.has('user') && session.get('user') !== name) session.clear()
    if (!session.has('since')) session.set('since', new Date())
    session.set('user', name)
    // Whoever knows the old id, because they planted or saw it, knows nothing from here on.
    session.regenerate({ authenticated: true })
    res.redirect(303, '/')
  })

  router.post('/log-out', async (req, res) => {
    const session = await sessions.get(req)
    await session.terminate()
    res.redirect(303, '/')
  })

  return router
}

/** @param refused The name that was given with a wrong password. */
function logInPage(session, refused) {
  const isWrong = refused !== undefined
  const described = (hint) =>
    isWrong ? html`aria-invalid="true" aria-describedby="problem ${hint}"` : html`aria-describedby="${hint}"`
  const content = html`
    ${isWrong && html`<p class="problem" id="problem" role="alert">No demo user has this name and password.</p>`}
    <form class="stacked" method="post" action="/log-in">
      <label for="name">Name</label>
      <input
        id="name"
        name="name"
        value="${refused}"
        required
        autocomplete="username"
        autocapitalize="none"
        ${described('names')}
      />
      <p class="hint" id="names">
        One of ${demoUsers.map((name, index) => html`${index > 0 && ', '}<kbd>${name}</kbd>`)}
      </p>
      <label for="password">Password</label>
      <input
        id="password"
        name="password"
        type="password"
        required
        autocomplete="current-password"
        ${described('demo-password')}
      />
      <p class="hint" id="demo-password">It is <kbd>${demoPassword}</kbd> for all of them</p>
      <button>Log in</button>
    </form>
    <p>
      Logging in moves the session to a new id, so an id that somebody planted before is worthless. Your cart comes
      along.
    </p>
  `
  return page({ title: isWrong ? 'Log in: please try again' : 'Log in', path: '/log-in', session, content })
}
