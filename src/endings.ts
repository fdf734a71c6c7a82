import type { Tombstone } from './record.js'

/** How a session ended. A backend in a plain layout keeps no word of it: what another process ended there looks expired. */
export type SessionEnd = 'terminated' | 'rotated' | 'expired'

export type EndListener = (end: SessionEnd) => void

/** Who in this process is to be told when a session ends: those that outlive the request that read it. */
export class Endings {
  readonly #listeners = new Map<string, Set<EndListener>>()

  /** Returns how to stop listening. */
  follow(key: string, listener: EndListener): () => void {
    const listeners = this.#listeners.get(key) ?? new Set()
    this.#listeners.set(key, listeners.add(listener))
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0 && this.#listeners.get(key) === listeners) this.#listeners.delete(key)
    }
  }

  announce(key: string, end: SessionEnd): void {
    const listeners = this.#listeners.get(key)
    if (!listeners) return
    this.#listeners.delete(key)
    for (const listener of listeners) listener(end)
  }
}

export function endOf({ successor }: Pick<Tombstone, 'successor'>): SessionEnd {
  return successor === undefined ? 'terminated' : 'rotated'
}
