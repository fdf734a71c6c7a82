import { join } from 'node:path'
import { afterAll, beforeAll, describe } from 'vitest'
import { Project } from '../helpers/project.mjs'
import { story } from '../helpers/story.mjs'

const packages = join(import.meta.dirname, 'node_modules')

describe('examples/sveltekit on SvelteKit 3:', () => {
  let project
  beforeAll(async () => {
    const source = join(import.meta.dirname, '../../../examples/sveltekit')
    project = await Project.create('sveltekit-3', source, { node: join(packages, 'node/bin/node') })
    await project.run(project.script('vite/bin/vite.js'), ['build'])
  })
  afterAll(() => project?.remove())

  const produce = (env) => project.serve(join(import.meta.dirname, '../sveltekit/start-production.mjs'), [], env)
  story('the production server', produce, { failKeepsChanges: true })
})
