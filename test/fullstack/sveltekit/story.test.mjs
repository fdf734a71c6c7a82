import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { Project } from '../helpers/project.mjs'
import { story } from '../helpers/story.mjs'

const example = join(import.meta.dirname, '../../../examples/sveltekit')
const vite = 'vite/bin/vite.js'

describe('examples/sveltekit:', () => {
  let project
  beforeAll(async () => {
    project = await Project.create('sveltekit', example)
    await project.run(project.script(vite), ['build'])
  })
  afterAll(() => project?.remove())

  const options = { failKeepsChanges: true }
  const develop = (env) =>
    project.serve(project.script(vite), (port) => ['dev', '--port', `${port}`, '--strictPort'], env)
  story('the development server', develop, options)
  const produce = (env) => project.serve(join(import.meta.dirname, 'start-production.mjs'), [], env)
  story('the production server', produce, options)
})
