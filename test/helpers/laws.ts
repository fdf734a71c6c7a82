import type { Backend } from '../../src/backend.js'
import { backendLaws } from '../../src/testing/backend-laws.js'

/** For `test.each(lawsOf(open))('%s', async (_, check) => expect(await check()).toBeUndefined())`. */
export function lawsOf(open: () => Backend): [name: string, check: () => Promise<void>][] {
  return backendLaws(open).map(({ name, check }) => [name, check])
}
