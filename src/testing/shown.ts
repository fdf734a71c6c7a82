import { describeValue } from '../errors.js'

/** A value as the kit's messages show it, texts included: nothing is secret in a test. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : describeValue(value)
}
