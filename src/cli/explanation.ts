import { grouped } from './terminal.js'

/** What `inspect` says about one thing. Nothing in it needs to be harmless to a terminal: what prints it sees to that. */
export interface Explanation {
  readonly title: string
  readonly facts: readonly (readonly [label: string, text: string])[]
  /** False if it is damaged, or not sealed by the configuration that was given. */
  readonly isSound: boolean
}

/** Standard input holds nothing that could be explained. */
export class InputError extends Error {
  readonly code = 'ERR_INPUT'
}

/** `1,234 bytes`. */
export function bytes(count: number): string {
  return `${grouped(count)} ${count === 1 ? 'byte' : 'bytes'}`
}

/** Epoch milliseconds as people read them; records may hold numbers that no calendar does. */
export function dateOf(milliseconds: number): string {
  const date = new Date(milliseconds)
  return Number.isNaN(date.getTime()) ? `${milliseconds}, which is no date` : date.toISOString()
}
