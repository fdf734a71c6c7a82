import type { HttpCapabilities } from './http-capabilities.js'
import type { Scene } from './http-scene.js'

/** What happens in a case. Each gets a scene of its own. */
export type Play = (scene: Scene) => Promise<void>

export interface ScenarioCase {
  readonly name: string
  readonly when: Partial<HttpCapabilities>
  readonly play: Play
}

/** Plays by name, for adapters whose capabilities are these; what is not named here does not matter. */
export function cases(when: Partial<HttpCapabilities>, plays: Readonly<Record<string, Play>>): ScenarioCase[] {
  return Object.entries(plays).map(([name, play]) => ({ name, when, play }))
}

export function applies({ when }: ScenarioCase, capabilities: HttpCapabilities): boolean {
  return Object.entries(when).every(([name, value]) => capabilities[name as keyof HttpCapabilities] === value)
}

/** The same cases for each of several variants. */
export function each<T>(
  variants: Readonly<Record<string, T>>,
  plays: (name: string, variant: T) => Readonly<Record<string, Play>>,
): Record<string, Play> {
  return Object.assign({}, ...Object.entries(variants).map(([name, variant]) => plays(name, variant)))
}
