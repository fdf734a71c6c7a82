import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { compile } from '../helpers/compile.mjs'
import { Project } from '../helpers/project.mjs'
import { writeSnippets } from '../helpers/snippets.mjs'

test('the code in docs/frameworks/astro.md makes an application, and its types agree', async () => {
  const project = await Project.create('astro', join(import.meta.dirname, 'fixture'))
  onTestFinished(() => project.remove())
  await rm(join(project.dir, 'src'), { recursive: true })
  await writeSnippets(project, 'astro.md')
  expect(await project.run(project.script('astro/astro.js'), ['build'])).toContain('Complete!')
  expect(await compile(project)).toBe('')
})
