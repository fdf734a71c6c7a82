import { Router } from 'express'
import { TIMEOUT_SESSION } from 'vishnu'
import { html } from '../html.mjs'
import { page } from '../layout.mjs'

const MOST_SECONDS = 30 * 86_400

export function sessionPage(sessions, journal) {
  const router = Router()

  router.get('/session', async (req, res) => {
    res.send(show(await sessions.get(req)))
  })

  router.post('/session/timeout', async (req, res) => {
    const session = await sessions.get(req)
    const seconds = req.body?.none === undefined ? Number(req.body?.seconds) : TIMEOUT_SESSION
    const isRight = Number.isInteger(seconds) && seconds >= 0 && seconds <= MOST_SECONDS
    if (!isRight) return res.status(400).send(show(session, `A whole number from 1 to ${MOST_SECONDS}, please.`))
    if (session.started) session.timeout = seconds
    res.redirect(303, '/session')
  })

  function show(session, problem) {
    const now = Date.now()
    const { request: previous, cookie } = journal.latest(session.publicId)
    const content = html`
      ${session.started ? facts(session, journal.current, cookie, now) : nothingStored}
      ${session.started && timeoutForm(session, problem)}
      <h2>What this request did</h2>
      <p>So far: a session is stored, or prolonged, at the end of a request.</p>
      ${operations(journal.current)}
      <h2>What the request before it did</h2>
      ${previous ? operations(previous) : html`<p>Nothing is known of one with this session.</p>`}
    `
    return page({ title: 'Your session', path: '/session', session, content })
  }

  return router
}

const nothingStored = html`
  <p class="lead">
    You have none: nothing is stored of a visitor, and no cookie is sent, until there is something to keep. Put a tea
    into
    <a href="/">the cart</a> and come back.
  </p>
`

function facts(session, request, cookie, now) {
  const deadline = request.operations.findLast(({ name }) => name === 'read')?.deadline
  return html`
    <dl class="facts">
      <dt>Public id</dt>
      <dd><code>${session.publicId}</code> <span class="hint">safe to show and to log; it opens nothing</span></dd>
      <dt>Belongs to</dt>
      <dd>${session.get('user') ?? 'an anonymous visitor'}</dd>
      <dt>Started</dt>
      <dd>${session.has('since') ? time(session.get('since')) : 'before the shop took notes'}</dd>
      <dt>Expires</dt>
      <dd>${time(deadline)}, in ${duration((deadline - now) / 1000)}, unless it is used before</dd>
      <dt>Timeout</dt>
      <dd>
        ${
          session.timeout === TIMEOUT_SESSION
            ? 'none: the cookie ends when the browser is closed'
            : `${duration(session.timeout)} without a request`
        }
      </dd>
      <dt>Backend</dt>
      <dd>SQLite, a file in this project</dd>
      <dt>Cookie</dt>
      <dd>
        ${
          cookie
            ? html`<code>${cookie.name}</code> with <code>${cookie.attributes.join('; ')}</code>, sent
                ${time(cookie.at)}`
            : 'sent before this server was started'
        }
      </dd>
      <dt>Sent again</dt>
      <dd>${renewal(session, cookie, now)}</dd>
    </dl>
  `
}

/** A cookie is renewed when less than half of its life is left, not with every response. */
function renewal(session, cookie, now) {
  if (session.timeout === TIMEOUT_SESSION) return 'no: it ends when the browser is closed'
  if (cookie?.seconds === undefined) return 'when less than half of its life is left'
  const halfLife = cookie.at + cookie.seconds * 500
  if (now > halfLife) return 'yes, by this response: less than half of its life is left'
  return html`not by this response, but from ${time(halfLife)} on, when less than half of its life is left`
}

function timeoutForm(session, problem) {
  return html`
    <h2 id="timeout">A timeout of its own</h2>
    <form class="row" method="post" action="/session/timeout" aria-labelledby="timeout">
      <label for="seconds">Seconds without a request</label>
      <input
        id="seconds"
        name="seconds"
        type="number"
        min="1"
        max="${MOST_SECONDS}"
        required
        value="${session.timeout || 3600}"
        ${problem && html`aria-invalid="true" aria-describedby="problem"`}
      />
      <button>Set the timeout</button>
      <button class="quiet" name="none" value="yes" formnovalidate>No timeout</button>
      ${problem && html`<p class="problem" id="problem" role="alert">${problem}</p>`}
    </form>
  `
}

function operations({ method, path, at, operations: list, cookie }) {
  return html`
    <div class="wide" tabindex="0" role="group" aria-label="Operations of ${method} ${path}">
      <table>
        <caption>
          <code>${method} ${path}</code>
        </caption>
        <thead>
          <tr>
            <th scope="col">Operation</th>
            <th scope="col">Bytes</th>
            <th scope="col">Outcome</th>
            <th scope="col">Session ends</th>
          </tr>
        </thead>
        <tbody>
          ${list.map(
            ({ name, bytes, outcome, deadline }) =>
              html`<tr>
                <th scope="row"><code>${name}</code></th>
                <td class="number">${bytes}</td>
                <td>${outcome}</td>
                <td>${deadline !== undefined && `${duration((deadline - at) / 1000)} later`}</td>
              </tr>`,
          )}
          ${
            list.length === 0 &&
            html`<tr>
              <td colspan="4">nothing read, nothing written</td>
            </tr>`
          }
        </tbody>
      </table>
    </div>
    ${cookie && html`<p>It was answered with a new cookie.</p>`}
  `
}

function time(date) {
  const iso = new Date(date).toISOString()
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`
}

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds))
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ]
  const text = parts.filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount} ${unit}`)
  return text.join(' ') || '0 s'
}
