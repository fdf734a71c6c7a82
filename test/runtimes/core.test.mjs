import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { exceptionsOn } from './core/selection.mjs'
import { runtimes } from './helpers/runtimes.mjs'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs the core's tests on a runtime, all of them by vitest itself, and resolves to what it tells of each. */
async function runCoreTests({ name, vitest: [command, ...args] }) {
  const folder = await mkdtemp(join(tmpdir(), 'vishnu-core-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const report = join(folder, 'report.json')
  const config = `test/runtimes/core/${name === 'workerd' ? 'workerd' : 'vitest'}.config.mjs`
  const script = ['node_modules/vitest/vitest.mjs', 'run', '--config', config]
  const reporter = ['--reporter=json', `--outputFile=${report}`]
  const { stdout, stderr } = await execute(command, [...args, ...script, ...reporter], {
    cwd: root,
    env: { ...process.env, RUNTIME: name },
    maxBuffer: 100_000_000,
    timeout: 570_000,
  }).catch((error) => error)
  const { testResults } = await readFile(report, 'utf8').then(JSON.parse, () => {
    throw new Error(`vitest told nothing on ${name}:\n${stdout}\n${stderr}`)
  })
  return testResults.flatMap((file) => {
    // A file that could not be loaded has no tests, and a message.
    const tests = file.assertionResults.length > 0 ? file.assertionResults : [{ ...file, fullName: file.message }]
    return tests.map(({ status, fullName, failureMessages = [] }) => ({
      file: file.name,
      status,
      name: [fullName, ...failureMessages].join('\n'),
    }))
  })
}

// Two at a time: each is one process, and most machines have two processors.
test.concurrent.each(runtimes)("$name passes the core's tests", { timeout: 600_000 }, async (runtime) => {
  const outcomes = await runCoreTests(runtime)
  const named = (wanted) => outcomes.filter(({ status }) => status === wanted).map(({ name }) => name)
  const [passed, failed, skipped] = [named('passed'), named('failed'), named('skipped')]
  expect(failed).toEqual([])
  // Otherwise vitest has looked in the wrong place.
  expect(passed.length).toBeGreaterThan(1000)

  const exceptions = exceptionsOn(runtime.name)
  const leftOut = (beginning) => skipped.filter((name) => name.startsWith(beginning))
  expect(Object.keys(exceptions).filter((beginning) => leftOut(beginning).length === 0)).toEqual([])
  const told = Object.entries(exceptions).map(
    ([beginning, reason]) => `  left out, as ${reason}: ${leftOut(beginning).join(', ')}\n`,
  )
  process.stdout.write(`${runtime.name} passes ${passed.length} tests of the core\n${told.join('')}`)
})
