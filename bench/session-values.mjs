const SMALL = { user: { id: 4711, name: 'Ada Lovelace', roles: ['admin', 'editor'] }, locale: 'en-GB', theme: 'dark' }

/**
 * A session of about so many bytes of JSON. `visits`, the one small key that the cases read and write, comes last: where
 * looking for it costs most.
 */
export function sessionValues(bytes) {
  const values = { ...SMALL }
  for (let page = 1; JSON.stringify(values).length + 80 < bytes; page++) {
    const room = bytes - JSON.stringify(values).length - 60
    const length = Math.max(1, Math.min(10, Math.floor(room / 100)))
    values[`page${page}`] = Array.from({ length }, (_, index) => item(page * 10 + index))
  }
  values.visits = FIRST_VISITS
  return values
}

/** Writes count on from here: always as many digits. */
export const FIRST_VISITS = 1_000_000

/** What every server answers whatever it was asked, so that all send the same bytes. */
export const BODY = `visits: ${FIRST_VISITS}`

function item(id) {
  return { id, title: `An item with an ordinary name, no. ${id}`, price: 19.99, count: 2, tags: ['new', 'sale'] }
}
