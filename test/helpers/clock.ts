export interface ManualClock {
  readonly now: () => number
  readonly advance: (milliseconds: number) => void
  readonly set: (milliseconds: number) => void
}

/** A clock that only moves when a test says so. Pass `clock.now` wherever a time source is wanted. */
export function manualClock(start = Date.UTC(2026, 0, 1)): ManualClock {
  let current = start
  return {
    now: () => current,
    advance: (milliseconds) => {
      current += milliseconds
    },
    set: (milliseconds) => {
      current = milliseconds
    },
  }
}
