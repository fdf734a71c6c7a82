import { defineHandler } from 'nitro'
import { httpScenario } from 'vishnu/testing'
import { stage } from '../utils/stage.js'

/** Plays the scenario on this very server, and answers with what failed. */
export default defineHandler(async (event) => {
  const { origin } = event.url
  const cases = httpScenario(async (sessions, handler) => {
    Object.assign(stage, { sessions, handler })
    return { origin, close: async () => Object.assign(stage, { sessions: undefined }) }
  })
  // Nitro writes the errors of the scenario's handlers there.
  Object.assign(console, { error: () => undefined })
  const failed = []
  for (const { name, check } of cases) await check().catch((error) => failed.push(`${name}: ${error.stack}`))
  return { passed: cases.length - failed.length, failed }
})
