/** What a {@link PythonValue} of each type holds. */
export interface PythonContents {
  tuple: readonly unknown[]
  frozenset: ReadonlySet<unknown>
  bytearray: Uint8Array
  /** `2026-02-28T12:34:56.789012+05:30`: with an offset. One without is a `Date`. */
  datetime: string
  /** `2026-02-28` */
  date: string
  /** `12:34:56.789012`, with an offset or without. */
  time: string
  /** As Python normalises it: only the days may be negative. */
  timedelta: Readonly<{ days: number; seconds: number; microseconds: number }>
  /** `19.90` */
  Decimal: string
  /** `12345678-1234-4678-9234-567812345678`, in lower case. */
  UUID: string
}

/**
 * A Python value that JavaScript has no type for. `get` returns these, and `set` takes them:
 *
 *     session.set('price', new PythonValue('Decimal', '19.90'))
 */
export class PythonValue<Type extends keyof PythonContents = keyof PythonContents> {
  readonly type: Type
  readonly value: PythonContents[Type]

  constructor(type: Type, value: PythonContents[Type]) {
    this.type = type
    this.value = value
  }
}
