/** Milliseconds. Nothing is measured by it: a call that takes so long never ends, and the message says which one that is. */
const NEVER = 30_000

/** What a call comes to, or a rejection that names it if it is never answered. */
export async function answered<T>(call: string, run: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const never = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswer(call)), NEVER)
  })
  try {
    return await Promise.race([run(), never])
  } finally {
    clearTimeout(timer)
  }
}

export class NoAnswer extends Error {
  constructor(call: string) {
    super(`${call} was not answered within ${NEVER / 1000} seconds`)
    this.name = 'NoAnswer'
  }
}
