export { type BackendLaw, backendLaws, type BackendLawsOptions } from './backend-laws.js'
export { type HttpCase, httpScenario } from './http-scenario.js'
export type { ScenarioAnswer, ScenarioHandler, ScenarioRequest, ScenarioServer, Serve } from './http-scenario.js'
