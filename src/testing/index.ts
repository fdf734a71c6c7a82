export { type BackendLaw, backendLaws } from './backend-laws.js'
export { type HttpCase, httpScenario, type ScenarioServer } from './http-scenario.js'
