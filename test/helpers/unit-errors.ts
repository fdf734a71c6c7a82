/** What the call throws; undefined if it returns. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}

/** What the promise rejects with; undefined if it resolves. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}

/** What some query builders return: no promise, but something that runs when it is awaited. */
export function thenable(then: () => void): object {
  // oxlint-disable-next-line unicorn/no-thenable -- the point of it
  return { then }
}
