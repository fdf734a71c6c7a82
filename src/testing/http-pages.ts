import type { Session } from '../session.js'
import type { ScenarioAnswer, ScenarioHandler } from './http-scene.js'

/* The pages that visitors of the scenario go to, and what they are put together from. */

export function page(body: string): ScenarioHandler {
  return async () => ({ status: 200, body })
}

/** A page that does something with the session before it answers. */
export function change(
  act: (session: Session) => unknown,
  answer: ScenarioAnswer | (() => ScenarioAnswer | Promise<ScenarioAnswer>) = { status: 200 },
): ScenarioHandler {
  return async ({ session }) => {
    await act(await session())
    return typeof answer === 'function' ? answer() : answer
  }
}

export const logIn = (session: Session): void => {
  session.regenerate({ authenticated: true })
  session.set('user', 'ada')
}

export const logOut = (session: Session): Promise<void> => session.terminate()

export function set(key: string, value: string): ScenarioHandler {
  return change((session) => session.set(key, value))
}

/** A page that shows values of the session, each `nothing` if there is none. */
export function show(...keys: string[]): ScenarioHandler {
  return async ({ session }) => {
    const mine = await session()
    return { status: 200, body: keys.map((key) => textOf(mine.get(key))).join(' ') }
  }
}

/** A page that has read its session when `arrived` opens, and changes it when `go` does. */
export function slowly(arrived: Latch, go: Latch, act: (session: Session) => unknown): ScenarioHandler {
  return change(async (session) => {
    arrived.open()
    await go.opened
    await act(session)
  })
}

/** A page for each item, by its index: `/0`, `/1` and so on. */
export function routes<T>(items: readonly T[], handler: (item: T) => ScenarioHandler): Record<string, ScenarioHandler> {
  return Object.fromEntries(items.map((item, index) => [`/${index}`, handler(item)]))
}

export async function* pieces(...texts: string[]): AsyncIterable<string> {
  yield* texts
}

/** A body of two pieces, the second made only when the first has arrived. */
export async function* piecesAfter(begun: Latch, second: () => unknown): AsyncIterable<string> {
  yield 'begun '
  await begun.opened
  yield textOf(await second())
}

interface Latch {
  readonly isOpen: boolean
  readonly opened: Promise<void>
  readonly open: () => void
}

export function latch(): Latch {
  let resolveOpened = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    resolveOpened = resolve
  })
  const it = {
    isOpen: false,
    opened,
    open: () => {
      it.isOpen = true
      resolveOpened()
    },
  }
  return it
}

/** Resolves for each who comes when all have come. */
export function meetingOf(size: number): () => Promise<void> {
  const everybody = latch()
  let missing = size
  return () => {
    missing -= 1
    if (missing === 0) everybody.open()
    return everybody.opened
  }
}

export async function codeOf(act: () => unknown): Promise<string> {
  try {
    await act()
    return 'no error'
  } catch (error) {
    return String((error as { code?: unknown }).code)
  }
}

export function listOf(header: string | undefined): string[] {
  return header?.split(',').map((item) => item.trim().toLowerCase()) ?? []
}

/** A value as pages show it. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : 'nothing'
}
