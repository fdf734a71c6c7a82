import { ConfigError, unknownOptions } from '../errors.js'
import { explained } from './explained.js'
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
import { shown } from './shown.js'

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
 * @throws `ERR_CONFIG` if `serve` is no function, or for capabilities that there are not.
 */
export function httpScenario(serve: Serve, options: HttpScenarioOptions = {}): HttpCase[] {
  const declared = checkOptions(serve, options)
  return everything
    .filter((scenarioCase) => applies(scenarioCase, declared))
    .map(({ name, when, play }) => ({
      name,
      check: async () => {
        const scene = new Scene(serve)
        try {
          await play(scene)
        } catch (error) {
          throw explain(error, when, scene.log)
        } finally {
          await scene.close()
        }
      },
    }))
}

function checkOptions(serve: unknown, { capabilities = {}, ...others }: HttpScenarioOptions): HttpCapabilities {
  const problems = unknownOptions(others, ['capabilities'])
  if (typeof serve !== 'function') {
    problems.unshift(`serve must be a function that starts a server, not ${shown(serve)}`)
  }
  if (problems.length > 0) throw new ConfigError('httpScenario()', problems)
  return checkCapabilities(capabilities)
}

/** What is told of a case that fails. The last visits are those that matter. */
function explain(error: unknown, when: Partial<HttpCapabilities>, visits: readonly string[]): Error {
  const needs = Object.entries(when).map(([name, value]) => `${name}: ${value}`)
  return explained(error, [
    `More: docs/adapters.md, "Common mistakes".${needs.length > 0 ? ` This is asked of adapters with ${needs.join(', ')}.` : ''}`,
    ...(visits.length > 0 ? ['What visitors asked, and what came:'] : []),
    ...visits.slice(-SHOWN_VISITS).map((visit) => `  ${visit}`),
  ])
}

const SHOWN_VISITS = 6

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
