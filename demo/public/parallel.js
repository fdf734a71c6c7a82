const REQUESTS = 20
const SLOW_AT_ONCE = 5

const element = (id) => document.getElementById(id)
const show = (id, value) => (element(id).textContent = value)
const count = (id) => show(id, Number(element(id).textContent) + 1)

async function post(path, values = {}) {
  const response = await fetch(path, { method: 'POST', body: new URLSearchParams(values) })
  if (!response.ok) throw new Error(`${path} was answered with ${response.status}`)
  return response.json()
}

async function stored() {
  const response = await fetch('/parallel/stored')
  return response.json()
}

/** Parts of the page as the server shows them now: they depend on who is logged in. */
async function refresh(...ids) {
  const response = await fetch('/parallel')
  const page = new DOMParser().parseFromString(await response.text(), 'text/html')
  for (const id of ids) element(id).replaceWith(page.getElementById(id))
}

/** Runs a demonstration at a click, and says what became of it. */
function onClick(buttonId, resultId, demonstrate) {
  const button = element(buttonId)
  button?.addEventListener('click', () => {
    // Not disabled: the focus would be lost.
    if (button.getAttribute('aria-disabled') === 'true') return
    button.setAttribute('aria-disabled', 'true')
    show(resultId, 'Sending …')
    void demonstrate()
      .catch((error) => `This did not work: ${error.message}`)
      .then((result) => {
        show(resultId, result)
        button.removeAttribute('aria-disabled')
      })
  })
}

element('no-script').remove()

onClick('write', 'write-result', async () => {
  const kinds = ['count', 'key']
  for (const kind of kinds) for (const part of ['sent', 'acknowledged', 'stored', 'lost']) show(`${kind}-${part}`, 0)
  // A visitor without a session gets one here, so that all the others have it.
  await post('/parallel/start')

  const requests = []
  let retries = 0
  for (let number = 1; number <= REQUESTS; number++) {
    for (const kind of kinds) {
      count(`${kind}-sent`)
      const acknowledged = post(`/parallel/${kind}`, { number }).then((answer) => {
        count(`${kind}-acknowledged`)
        retries += answer.retries ?? 0
      })
      requests.push(acknowledged)
    }
  }
  const outcomes = await Promise.allSettled(requests)

  const { counter, keys } = await stored()
  const losses = [
    ['count', counter],
    ['key', keys],
  ].map(([kind, isStored]) => {
    const lost = Number(element(`${kind}-acknowledged`).textContent) - isStored
    show(`${kind}-stored`, isStored)
    show(`${kind}-lost`, lost)
    return lost
  })
  const failed = outcomes.filter(({ status }) => status === 'rejected').length
  const lost = losses.reduce((sum, loss) => sum + loss)
  return `${outcomes.length} requests, ${failed} failed, ${counter + keys} changes stored, ${lost} lost. Increments met a newer version, and were made again on that one, ${retries} times.`
})

onClick('log-out', 'log-out-result', async () => {
  for (const part of ['sent', 'refused', 'late', 'stored']) show(`slow-${part}`, 0)
  const slow = async (number) => {
    count('slow-sent')
    const { outcome } = await post('/parallel/slow', { number })
    const counters = { stored: 'slow-stored', late: 'slow-late', ERR_SESSION_GONE: 'slow-refused' }
    if (!counters[outcome]) throw new Error(`a slow request ended with ${outcome}`)
    count(counters[outcome])
  }
  const numbers = Array.from({ length: SLOW_AT_ONCE }, (_, index) => index + 1)
  const requests = numbers.map(slow)
  const logOut = post('/parallel/log-out')
  // The cookie is in these already; they wait for a free connection, and reach the server after the log-out.
  requests.push(...numbers.map((number) => slow(SLOW_AT_ONCE + number)))
  await Promise.all([logOut, ...requests])

  const { user } = await stored()
  show('slow-user', user ?? 'nobody')
  await refresh('header', 'log-out-start')
  element('log-out-result').focus()
  return user === null ? 'You stayed logged out.' : `You are logged in as ${user} again. That is a bug.`
})
