import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../helpers/free-port.ts'
import { launchChromium } from '../../browser/helpers/chromium.mjs'
import { Project } from '../helpers/project.mjs'
import { writeSnippets } from '../helpers/snippets.mjs'
import { story } from '../helpers/story.mjs'

const root = join(import.meta.dirname, '../../..')
const example = join(root, 'examples/react-router')
const tsc = join(root, 'node_modules/typescript/bin/tsc')

/**
 * The tests of the adapter, with the packages of one folder.
 *
 * @param options `node`: what to run them on. `bin`: the file of React Router's commands. `config`: what the example's
 *   configuration must say.
 */
export function reactRouterTests(folder, { node = process.execPath, bin, config = {} }) {
  async function create(source) {
    const project = await Project.create(folder, source, { node })
    await writeFile(join(project.dir, 'react-router.config.ts'), `export default ${JSON.stringify(config)}\n`)
    return project
  }
  const command = (project) => project.script(`@react-router/dev/${bin}`)
  const build = (project) => project.run(command(project), ['build'])

  async function compile(project) {
    await project.run(command(project), ['typegen'])
    return project.run(tsc, ['-p', project.dir])
  }

  describe('examples/react-router', () => {
    let project
    beforeAll(async () => {
      project = await create(example)
      // Vite's development server hands out only what is in the project, and here the packages lie beside it.
      const file = join(project.dir, 'vite.config.ts')
      const viteConfig = await readFile(file, 'utf8')
      await writeFile(file, viteConfig.replace('plugins:', "server: { fs: { allow: ['..'] } },\n  plugins:"))
      await build(project)
    })
    afterAll(() => project?.remove())

    const develop = (env) => project.serve(command(project), (port) => ['dev', '--port', `${port}`], env)
    const produce = (env) => project.serve(project.script(`@react-router/serve/${bin}`), ['build/server/index.js'], env)

    story('the development server', develop, { failKeepsChanges: true })
    story('react-router-serve', produce, { failKeepsChanges: true })

    test.each([
      ['the development server', develop],
      ['react-router-serve', produce],
    ])('on %s a client navigation whose change finds no backend shows the error page of a 503', async (_, start) => {
      const server = await start({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` })
      onTestFinished(() => server.stop())
      const browser = await launchChromium()
      onTestFinished(() => browser.close())
      const page = await browser.newPage({ baseURL: server.origin })
      await page.goto('/', { waitUntil: 'networkidle' })
      await page.locator('a[href$="/pages/3"]').click()
      await page.getByText('Please try again in a minute.').waitFor()
      const document = await fetch(`${server.origin}/pages/3`)
      expect([document.status, await document.text()]).toEqual([503, 'Service Unavailable\n'])
    })

    test("compiles, and the adapter's types fit those of React Router", async () => {
      await cp(join(import.meta.dirname, 'types.ts'), join(project.dir, 'app/types.ts'))
      expect(await compile(project)).toBe('')
    })
  })

  test('the snippets of docs/frameworks/react-router.md compile', async () => {
    const project = await create(example)
    onTestFinished(() => project.remove())
    await rm(join(project.dir, 'app'), { recursive: true })
    await writeSnippets(project, 'react-router.md')
    expect(await compile(project)).toBe('')
  })

  describe('a production build', () => {
    let project
    beforeAll(async () => {
      project = await create(join(import.meta.dirname, 'fixture'))
      await build(project)
    })
    afterAll(() => project?.remove())

    // They reach into the application, so they run in its process, and on its Node.
    test.each([
      ['keeps the HTTP scenario', 'scenario.mjs', 68],
      ['keeps the contract in loaders, actions, redirects, streams and error pages', 'pages.mjs', 23],
      ["has a sessionStorage() that behaves as React Router's own storages", 'storage.mjs', 1],
    ])('%s', async (_, file, least) => {
      const report = await project.run('--test', ['--test-reporter=tap', file], { NODE_ENV: 'production' })
      expect(Number(/^# pass (\d+)$/m.exec(report)?.[1])).toBeGreaterThanOrEqual(least)
    })
  })
}
