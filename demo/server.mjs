// The demo: a small shop whose visitors have sessions. Started by `npm start`.
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createSessions } from 'vishnu'
import { sqlite } from 'vishnu/backends/sqlite'
import { sessionMiddleware } from 'vishnu/express'
import { Journal } from './journal.mjs'
import { listen } from './listen.mjs'
import { account } from './pages/account.mjs'
import { cart } from './pages/cart.mjs'
import { failure } from './pages/failure.mjs'
import { parallel } from './pages/parallel.mjs'
import { sessionPage } from './pages/session.mjs'
import { shop } from './pages/shop.mjs'
import { protect } from './protect.mjs'
import { keptSecret } from './secret.mjs'

const folder = process.env.DEMO_DATA ?? fileURLToPath(new URL('data', import.meta.url))
// Browsers treat http://localhost as they treat HTTPS, all but Safari, which needs `SECURE=false npm start`.
const secure = process.env.SECURE !== 'false'
mkdirSync(folder, { recursive: true, mode: 0o700 })

const journal = new Journal()
const sessions = createSessions({
  secret: keptSecret(folder),
  backend: journal.watch(sqlite({ file: `${folder}/sessions.sqlite` })),
  cookieName: secure ? '__Host-shop' : 'shop',
  secure,
  timeout: 3600,
  absoluteTimeout: 8 * 3600,
  autoSave: true,
})

const app = express()
app.use(protect)
app.use(express.static(fileURLToPath(new URL('public', import.meta.url))))
app.use(express.urlencoded())
app.use(journal.middleware(sessions))
app.use(sessionMiddleware(sessions))
app.use(shop(sessions), cart(sessions), account(sessions), sessionPage(sessions, journal), parallel(sessions, journal))
app.use(failure)

const port = await listen(app, Number(process.env.PORT ?? 3000))
console.log(`The shop is open: http://localhost:${port}`)
