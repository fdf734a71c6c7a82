import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { Project } from '../helpers/project.mjs'
import { story } from '../helpers/story.mjs'

const packages = join(import.meta.dirname, 'node_modules')

describe('examples/astro on Astro 7:', () => {
  let project
  beforeAll(async () => {
    const source = join(import.meta.dirname, '../../../examples/astro')
    project = await Project.create('astro-7', source, { node: join(packages, 'node/bin/node') })
    await project.run(project.script('astro/bin/astro.mjs'), ['build'])
  })
  afterAll(() => project?.remove())

  const produce = (env) => project.serve(join(project.dir, 'dist/server/entry.mjs'), [], env)
  story('the production server', produce, { failKeepsChanges: true })
})
