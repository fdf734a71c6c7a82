/** This realm's or another's: a test runner's sandbox has its own. */
export function isObjectPrototype(prototype: unknown): boolean {
  return (
    prototype !== null &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype as object, 'isPrototypeOf')
  )
}

export function constructorName(prototype: unknown): string | undefined {
  return (prototype as { constructor?: { name?: string } } | null)?.constructor?.name
}
