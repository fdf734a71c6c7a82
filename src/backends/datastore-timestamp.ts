import type { PropertyValue } from './datastore-client.js'

type Timestamp = NonNullable<PropertyValue['timestampValue']>

/** From epoch milliseconds. */
export function toTimestamp(time: number): Timestamp {
  const seconds = Math.floor(time / 1000)
  return { seconds, nanos: Math.floor(time - seconds * 1000) * 1_000_000 }
}

/** To epoch milliseconds, rounded down; undefined for null and all else that is no timestamp. */
export function fromTimestamp(value: PropertyValue | undefined): number | undefined {
  const { seconds, nanos } = value?.timestampValue ?? {}
  return seconds === undefined ? undefined : Number(seconds) * 1000 + Math.floor((nanos ?? 0) / 1_000_000)
}
