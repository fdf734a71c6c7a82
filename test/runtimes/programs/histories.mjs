// Plays histories on a backend of the runtime: on Node, Bun, Deno and in workerd.
import { faultNames, HistoryViolation, runHistory } from 'vishnu/testing'

/**
 * `options` are those of `runHistory`; `faulty`: with every fault. Resolves to what JSON can carry: how much was done, which
 * faults there were, and the story of a violation if there is one.
 */
export async function playHistory(open, { faulty = false, ...options }) {
  try {
    const report = await runHistory(open, { order: 'real', ...options, faults: faulty ? faultNames : [] })
    const faults = faultNames.filter((fault) => [...report.faults.keys()].some((hit) => hit.endsWith(fault)))
    return { operations: report.operations, faults }
  } catch (error) {
    if (error instanceof HistoryViolation) return { violation: error.message }
    throw error
  }
}
