import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readMarkdown } from '../../quality/markdown.ts'
import { Project } from '../helpers/project.mjs'

const page = resolve(import.meta.dirname, '../../../docs/frameworks/websocket.md')
const scripts = readMarkdown(page).codeBlocks.filter(({ language }) => language === 'js')

let empty, project

beforeAll(async () => {
  empty = await mkdtemp(join(tmpdir(), 'vishnu-websocket-'))
  project = await Project.create('websocket', empty)
})
afterAll(async () => {
  await project?.remove()
  await rm(empty, { recursive: true })
})

test.each(scripts.map(({ text }, index) => [index + 1, text]))('script %d of the page runs', async (index, text) => {
  const script = join(project.dir, `script-${index}.mjs`)
  await writeFile(script, text)
  expect(await project.run(script)).toBe('')
})
