/** A pickle that is damaged, or that this library refuses to read. */
export class PickleError extends Error {
  override readonly name = 'PickleError'
}
