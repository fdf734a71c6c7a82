import type { Sessions } from '../sessions.js'

type ValueOf<Data, Key> = Key extends keyof Data ? Data[Key] : undefined

/** The `Session` of React Router's own storages, and `regenerate`, which theirs lack. */
export interface RouterSession<Data, FlashData = Data> {
  /** Names the session and opens nothing, as `publicId`; empty for a visitor who had none. */
  readonly id: string
  readonly data: Partial<Data & { [Key in keyof FlashData as `__flash_${Key & string}__`]: FlashData[Key] }>
  has(name: (keyof Data | keyof FlashData) & string): boolean
  /** Objects and arrays are frozen: a change is made by `set`. A flashed value is removed. */
  get<Key extends (keyof Data | keyof FlashData) & string>(
    name: Key,
  ): ValueOf<Data, Key> | ValueOf<FlashData, Key> | undefined
  set<Key extends keyof Data & string>(name: Key, value: Data[Key]): void
  /** Sets a value for the next `get`, in this request or a later one. */
  flash<Key extends keyof FlashData & string>(name: Key, value: FlashData[Key]): void
  unset(name: keyof Data & string): void
  /** Moves the session to a new id, as that of `vishnu`: call it at log-in. */
  regenerate(options?: { authenticated?: boolean }): void
}

/** A session of unknown data. */
export type AnySession = Awaited<ReturnType<Sessions['get']>>
type AnyRouterSession = RouterSession<Record<string, unknown>>

/** A session as routes see it that were written for React Router's own storages. Flashed values are under their keys. */
export function routerSession(session: AnySession): AnyRouterSession {
  const flashed = (name: string): string => `__flash_${name}__`

  function get(name: string): unknown {
    if (session.has(name) || !session.has(flashed(name))) return session.get(name)
    const value = session.get(flashed(name))
    session.delete(flashed(name))
    return value
  }

  return {
    id: session.started ? session.publicId : '',
    get data() {
      return Object.fromEntries(session.entries())
    },
    get: get as AnyRouterSession['get'],
    has: (name) => session.has(name) || session.has(flashed(name)),
    set: (name, value) => session.set(name, value),
    flash: (name, value) => session.set(flashed(name), value),
    unset: (name) => void session.delete(name),
    regenerate: (options) => session.regenerate(options),
  }
}
