import { html } from './html.mjs'

const pages = [
  { path: '/', name: 'Shop' },
  { path: '/cart', name: 'Cart' },
  { path: '/session', name: 'Your session' },
  { path: '/parallel', name: 'Many at once' },
]

/** A whole page. `session` is shown in the header, `script` is the path of a script of ours. */
export function page({ title, path, session, content, script }) {
  const user = session.get('user')
  const count = Object.values(session.get('cart') ?? {}).reduce((sum, amount) => sum + amount, 0)
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} · The Tea Shop</title>
        <link rel="icon" href="/icon.svg" />
        <link rel="stylesheet" href="/style.css" />
        ${script && html`<script src="${script}" type="module"></script>`}
      </head>
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        <header id="header">
          <p class="brand"><a href="/">The Tea Shop</a> <span>a demo of vishnu</span></p>
          <nav aria-label="Main">
            <ul>
              ${pages.map(
                (entry) =>
                  html`<li>
                    <a href="${entry.path}" ${entry.path === path && html`aria-current="page"`}
                      >${entry.name}${
                        entry.path === '/cart' &&
                        html` <span class="count" aria-hidden="true">${count}</span
                          ><span class="unseen">, ${count} ${count === 1 ? 'item' : 'items'}</span>`
                      }</a
                    >
                  </li>`,
              )}
            </ul>
          </nav>
          ${
            user === undefined
              ? html`<p class="visitor"><a href="/log-in">Log in</a></p>`
              : html`<form class="visitor" method="post" action="/log-out">
                  <span>Logged in as <strong>${user}</strong></span> <button class="quiet">Log out</button>
                </form>`
          }
        </header>
        <main id="main" tabindex="-1">
          <h1>${title}</h1>
          ${content}
        </main>
        <footer>
          <p>Nothing is sold here. Sessions are kept in a file of this project and survive a restart of the server.</p>
        </footer>
      </body>
    </html>`.toString()
}
