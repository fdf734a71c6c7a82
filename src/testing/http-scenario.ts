import { aborting } from './http-aborts.js'
import { answering } from './http-answers.js'
import { arriving } from './http-arrivals.js'
import { basics } from './http-basics.js'
import { checkCapabilities, type HttpCapabilities } from './http-capabilities.js'
import { applies, type ScenarioCase } from './http-case.js'
import { matrix } from './http-matrix.js'
import { overlapping } from './http-overlaps.js'
import { readingOnly } from './http-readonly.js'
import { Scene, type Serve } from './http-scene.js'
import { streaming } from './http-streams.js'

export type { HttpCapabilities } from './http-capabilities.js'
export type { ScenarioAnswer, ScenarioHandler, ScenarioRequest, ScenarioServer, Serve } from './http-scene.js'

/** One rule that every adapter keeps, as a test for any runner. */
export interface HttpCase {
  /** A sentence about what a visitor or an application sees. */
  name: string
  /** Rejects, saying what was expected and what came, if the adapter breaks the rule. */
  check: () => Promise<void>
}

export interface HttpScenarioOptions {
  /** What the adapter can't do, such as `{ stream: false }`; the scenario asserts that too. Default: it can do everything. */
  capabilities?: Partial<HttpCapabilities>
}

/**
 * What a session does over HTTP, whatever the framework, as tests. For an adapter of your own, with any runner:
 *
 * ```ts
 * import { test } from 'node:test'
 * import { httpScenario } from 'vishnu/testing'
 *
 * for (const { name, check } of httpScenario(serve)) test(name, check)
 * ```
 *
 * Each case starts a server of its own by `serve`, talks to it over a real connection, and closes it.
 *
 * @throws `ERR_CONFIG` for capabilities that there are not.
 */
export function httpScenario(serve: Serve, { capabilities = {} }: HttpScenarioOptions = {}): HttpCase[] {
  const declared = checkCapabilities(capabilities)
  return everything
    .filter((scenarioCase) => applies(scenarioCase, declared))
    .map(({ name, play }) => ({
      name,
      check: async () => {
        const scene = new Scene(serve)
        try {
          await play(scene)
        } finally {
          await scene.close()
        }
      },
    }))
}

const everything: readonly ScenarioCase[] = [
  ...basics,
  ...answering,
  ...matrix,
  ...streaming,
  ...aborting,
  ...overlapping,
  ...arriving,
  ...readingOnly,
]
