import * as fc from 'fast-check'

/** What breaks the property, in words; undefined if it holds. Tries the same values in every run. */
export function counterexample<Values>(property: fc.IProperty<Values>, runs = 200): string | undefined {
  const details = fc.check(property, { numRuns: runs, seed: 20_260_101 })
  return details.failed ? fc.defaultReportMessage(details) : undefined
}

export async function asyncCounterexample<Values>(
  property: fc.IAsyncProperty<Values>,
  runs = 200,
): Promise<string | undefined> {
  const details = await fc.check(property, { numRuns: runs, seed: 20_260_101 })
  return details.failed ? fc.defaultReportMessage(details) : undefined
}
