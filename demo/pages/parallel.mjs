import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Router } from 'express'
import { html } from '../html.mjs'
import { page } from '../layout.mjs'

/** Browsers keep at most six connections to one host: five for slow requests, one for the log-out. */
const SLOW_AT_ONCE = 5
const PATIENCE = 5000

/** Many requests with one session. The page's script sends them. */
export function parallel(sessions, journal) {
  const router = Router()
  const logOuts = new EventEmitter().setMaxListeners(0)

  router.get('/parallel', async (req, res) => {
    const session = await sessions.get(req)
    res.send(
      page({ title: 'Many at once', path: '/parallel', session, content: content(session), script: '/parallel.js' }),
    )
  })

  router.post('/parallel/start', async (req, res) => {
    const session = await sessions.get(req)
    if (!session.has('since')) session.set('since', new Date())
    for (const key of keysOf(session)) session.delete(key)
    session.set('counter', 0)
    res.json({})
  })

  router.post('/parallel/count', async (req, res) => {
    const session = await sessions.get(req)
    await othersHaveRead()
    await session.update('counter', (counter = 0) => counter + 1)
    const conflicts = journal.current.operations.filter(({ outcome }) => outcome === 'conflict')
    res.json({ retries: conflicts.length })
  })

  router.post('/parallel/key', async (req, res) => {
    const session = await sessions.get(req)
    await othersHaveRead()
    session.set(`key-${Number(req.body.number)}`, true)
    res.json({})
  })

  router.post('/parallel/slow', async (req, res) => {
    const session = await sessions.get(req)
    if (!session.has('user')) return res.json({ outcome: 'late' })
    // Its work takes until somebody has logged out.
    await once(logOuts, session.publicId, { signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined)
    session.set('slow', Number(req.body.number))
    const outcome = await session.save().then(
      () => 'stored',
      (error) => error.code,
    )
    res.json({ outcome })
  })

  router.post('/parallel/log-out', async (req, res) => {
    const session = await sessions.get(req)
    const { publicId } = session
    for (let waited = 0; waited < PATIENCE / 2 && logOuts.listenerCount(publicId) < SLOW_AT_ONCE; waited += 20) {
      await sleep(20)
    }
    await session.terminate()
    logOuts.emit(publicId)
    res.json({})
  })

  router.get('/parallel/stored', async (req, res) => {
    const session = await sessions.get(req)
    res.json({ counter: session.get('counter') ?? 0, keys: keysOf(session).length, user: session.get('user') ?? null })
  })

  return router
}

/** From here on none of those that run at the same time knows what the others store. */
function othersHaveRead() {
  return sleep(50)
}

function keysOf(session) {
  return session.keys().filter((key) => key.startsWith('key-'))
}

function content(session) {
  return html`
    <p class="problem" id="no-script">This page needs JavaScript: it sends many requests at the same time.</p>
    <h2>Nothing is lost</h2>
    <p>
      Twenty requests add one to a counter, and twenty set a key each, all in this session and at the same time. Your
      browser keeps about six of them running at once. Where each stored the whole session as it had read it, the last
      would undo what the others did.
    </p>
    <p><button id="write">Send 40 requests</button></p>
    <div class="wide" tabindex="0" role="group" aria-label="Counters">
      <table class="counters">
        <thead>
          <tr>
            <td></td>
            <th scope="col">Sent</th>
            <th scope="col">Acknowledged</th>
            <th scope="col">Stored</th>
            <th scope="col">Lost</th>
          </tr>
        </thead>
        <tbody>
          ${counters('count', 'update: counter + 1')} ${counters('key', 'set: a key each')}
        </tbody>
      </table>
    </div>
    <p id="write-result" role="status"></p>
    <h2>Logged out is logged out</h2>
    <p>
      Ten slow requests write to this session, and you log out while they do. Five have read the session before and
      write after the log-out; five arrive after it, still with your old cookie. None may bring the session back.
    </p>
    ${
      session.has('user')
        ? html`<p id="log-out-start"><button id="log-out">Log out during 10 slow requests</button></p>`
        : html`<p id="log-out-start"><a href="/log-in">Log in</a> first.</p>`
    }
    <dl class="tiles">
      <div>
        <dt>Slow requests</dt>
        <dd id="slow-sent">0</dd>
      </div>
      <div>
        <dt>Refused when writing</dt>
        <dd id="slow-refused">0</dd>
      </div>
      <div>
        <dt>Came too late</dt>
        <dd id="slow-late">0</dd>
      </div>
      <div>
        <dt>Stored</dt>
        <dd id="slow-stored">0</dd>
      </div>
      <div>
        <dt>Logged in now</dt>
        <dd id="slow-user">${session.get('user') ?? 'nobody'}</dd>
      </div>
    </dl>
    <p id="log-out-result" role="status" tabindex="-1"></p>
  `
}

function counters(name, label) {
  return html`<tr>
    <th scope="row">${label}</th>
    ${['sent', 'acknowledged', 'stored', 'lost'].map((column) => html`<td class="number" id="${name}-${column}">0</td>`)}
  </tr>`
}
