import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { compile } from '../helpers/compile.mjs'
import { Project } from '../helpers/project.mjs'
import { writeSnippets } from '../helpers/snippets.mjs'

test('the code in docs/frameworks/sveltekit.md makes an application, and its types agree', async () => {
  const project = await Project.create('sveltekit', join(import.meta.dirname, 'fixture'))
  onTestFinished(() => project.remove())
  for (const part of ['routes', 'hooks.server.js', 'types.js'])
    await rm(join(project.dir, 'src', part), { recursive: true })
  await writeSnippets(project, 'sveltekit.md')
  expect(await project.run(project.script('vite/bin/vite.js'), ['build'])).toContain('Using @sveltejs/adapter-node')
  expect(await compile(project)).toBe('')
})
