import assert from 'node:assert/strict'
import type { Session } from '../session.js'
import { cases, type Play, type ScenarioCase } from './http-case.js'
import { latch, logIn, logOut, show, slowly } from './http-pages.js'
import type { ScenarioHandler, Scene } from './http-scene.js'

/*
 * A browser sends several requests at once, with the same cookie. They are stored in some order, and their answers arrive
 * in another: its jar keeps what arrives last. Whatever the two orders, the next page must be the one that the order of
 * storing makes it.
 */

const operations: Readonly<Record<string, (session: Session) => unknown>> = {
  read: (session) => session.get('user'),
  set: (session) => session.set('cart', 'book'),
  'log in': logIn,
  'log out': logOut,
  rotate: (session) => session.regenerate(),
}

const NAMES = Object.keys(operations)
const CHANGES = NAMES.filter((name) => name !== 'read')
const OUT = 'nothing nothing nothing'

/** What the cookies from before and after lead to, once requests that overlap have been stored in this order. */
function expected(stored: readonly string[]): { before: string; after: string } {
  if (stored.includes('log out')) return { before: OUT, after: OUT }
  // Who moves the session first has moved it: to all that come later it is gone.
  const move = stored.findIndex((name) => name === 'log in' || name === 'rotate')
  const hasMoved = move !== -1
  const cart = stored.slice(0, hasMoved ? move : undefined).includes('set') ? 'book' : 'nothing'
  const after = `dark ${stored[move] === 'log in' ? 'ada' : 'nothing'} ${cart}`
  return { before: hasMoved ? OUT : after, after }
}

/** Sends the requests, has them stored in this order, and then lets their answers arrive in every order. */
async function play(scene: Scene, pages: Record<string, ScenarioHandler>, stored: readonly string[]): Promise<void> {
  const browser = await scene.visitorWith({ theme: 'dark' })
  const requests = stored.map((name, index) => {
    const [arrived, go] = [latch(), latch()]
    pages[`/${index}`] = slowly(arrived, go, (session) => operations[name]?.(session))
    return { arrived, go, reply: browser.clone().get(`/${index}`) }
  })
  for (const { arrived } of requests) await arrived.opened
  const answers: (readonly string[])[] = []
  for (const { go, reply } of requests) {
    go.open()
    answers.push((await reply).setCookies)
  }

  const { before, after } = expected(stored)
  const story = `stored in the order: ${stored.join(', ')}`
  assert.equal((await browser.get('/')).body, before, `${story}; whoever kept the old cookie`)
  const seen = new Map<string | undefined, string>()
  for (const order of orders([...stored.keys()], stored.length)) {
    const jar = browser.clone()
    for (const index of order) jar.receive(answers[index] ?? [])
    // Orders that leave the same cookie in the jar lead to the same page.
    const { cookie } = jar
    if (!seen.has(cookie)) seen.set(cookie, (await jar.get('/')).body)
    const arrived = order.map((index) => stored[index]).join(', ')
    assert.equal(seen.get(cookie), after, `${story}; arrived in the order: ${arrived}`)
  }
}

/** Every choice of so many different items, in every order. */
function orders<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]]
  return items.flatMap((item, index) => orders(items.toSpliced(index, 1), size - 1).map((rest) => [item, ...rest]))
}

function playAll(stories: readonly (readonly string[])[]): Play {
  return async (scene) => {
    const pages: Record<string, ScenarioHandler> = { '/': show('theme', 'user', 'cart') }
    await scene.open(pages)
    for (const stored of stories) await play(scene, pages, stored)
  }
}

export const arriving: ScenarioCase[] = cases(
  { cookie: true },
  {
    'two requests at once: whatever order they are stored and answered in, the browser ends up with the right cookie':
      playAll([...orders(NAMES, 2), ...NAMES.map((name) => [name, name])]),
    'three changes at once: whatever order they are stored and answered in, the browser ends up with the right cookie':
      playAll(orders(CHANGES, 3)),
  },
)
