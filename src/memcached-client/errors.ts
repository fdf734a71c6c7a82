/**
 * | code | means | the command |
 * | --- | --- | --- |
 * | `KEY`, `ARGUMENT` | the caller's mistake | was not sent |
 * | `TOO_LARGE` | the item exceeds `maxItemBytes`, or what the server takes | see `outcomeUnknown` |
 * | `CLOSED` | `close()` was called before | was not sent |
 * | `UNAVAILABLE` | no connection to the server, or it was lost | see `outcomeUnknown` |
 * | `TIMEOUT` | no answer within `timeout` | see `outcomeUnknown` |
 * | `AUTH` | the server wants a user name and password, or other ones | was not sent |
 * | `SERVER` | the server answered with an error, out of memory for one, or can't do what this client needs | see `outcomeUnknown` |
 * | `PROTOCOL` | the server sent something that is no answer to what it was asked | see `outcomeUnknown` |
 */
export type MemcachedErrorCode =
  'KEY' | 'ARGUMENT' | 'TOO_LARGE' | 'CLOSED' | 'UNAVAILABLE' | 'TIMEOUT' | 'AUTH' | 'SERVER' | 'PROTOCOL'

export interface MemcachedErrorOptions extends ErrorOptions {
  outcomeUnknown?: boolean
}

/** Every error of this client. Messages hold no keys and no values. */
export class MemcachedError extends Error {
  /** Stable: program against this, not against the message. */
  readonly code: MemcachedErrorCode
  /**
   * Whether the command may have been carried out, or may yet be: it left, and its answer did not come. False means that
   * the server was not told. A write that is answered with an error counts as unknown too, since memcached then removes
   * what it holds under the key.
   */
  readonly outcomeUnknown: boolean

  constructor(
    code: MemcachedErrorCode,
    message: string,
    { outcomeUnknown = false, ...options }: MemcachedErrorOptions = {},
  ) {
    super(message, options)
    this.name = 'MemcachedError'
    this.code = code
    this.outcomeUnknown = outcomeUnknown
  }
}
