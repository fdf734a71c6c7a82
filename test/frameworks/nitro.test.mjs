import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { httpScenario } from '../../src/testing/http-scenario.ts'
import { installExamples, startExample } from './helpers/installed-examples.mjs'

test('vishnu/h3 on the server that Nitro 3 builds for Node plays the whole HTTP scenario', async () => {
  const examples = await installExamples()
  onTestFinished(examples.remove)
  // With the example's configuration, and its error handler.
  const dir = join(examples.dir, 'nitro')
  for (const name of ['middleware', 'routes', 'utils']) await rm(join(dir, 'server', name), { recursive: true })
  await cp(join(import.meta.dirname, 'nitro/server'), join(dir, 'server'), { recursive: true })
  await examples.buildNitro()
  const { origins, stop } = await startExample(join(dir, '.output/server/index.mjs'), { env: { HOST: '127.0.0.1' } })
  onTestFinished(stop)
  const response = await fetch(`${origins[0]}/scenario`)
  expect(await response.json()).toEqual({ passed: httpScenario(() => undefined).length, failed: [] })
}, 120_000)

test('docs/frameworks/h3.md shows the files of examples/nitro', async () => {
  const page = await readFile(new URL('../../docs/frameworks/h3.md', import.meta.url), 'utf8')
  for (const name of ['utils/sessions.js', 'middleware/session.js', 'error.js']) {
    expect(page).toContain(await readFile(new URL(`../../examples/nitro/server/${name}`, import.meta.url), 'utf8'))
  }
})
