import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { Project } from '../helpers/project.mjs'
import { story } from '../helpers/story.mjs'

const example = join(import.meta.dirname, '../../../examples/astro')
const astro = 'astro/astro.js'

describe('examples/astro:', () => {
  let project
  beforeAll(async () => {
    project = await Project.create('astro', example)
    await project.run(project.script(astro), ['build'])
  })
  afterAll(() => project?.remove())

  const options = { failKeepsChanges: true }
  const develop = (env) =>
    project.serve(project.script(astro), (port) => ['dev', '--port', `${port}`], {
      ...env,
      // It would ask the registry for newer versions.
      ASTRO_DISABLE_UPDATE_CHECK: 'true',
    })
  story('the development server', develop, options)
  const produce = (env) => project.serve(join(project.dir, 'dist/server/entry.mjs'), [], env)
  story('the production server', produce, options)
})
