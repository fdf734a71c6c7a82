import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readMarkdown } from '../../quality/markdown.ts'

/** Writes the code of a page in docs/frameworks into a project. Each block says in a comment at its top which file it is. */
export async function writeSnippets(project, page) {
  const { codeBlocks } = readMarkdown(join(import.meta.dirname, '../../../docs/frameworks', page))
  for (const { language, text } of codeBlocks) {
    if (language === 'console') continue
    const [, path] = /^(?:\/\/|<!--|---\n\/\/) (\S+)/.exec(text) ?? []
    if (!path) throw new Error(`${page}: no file name in\n${text}`)
    await mkdir(dirname(join(project.dir, path)), { recursive: true })
    await writeFile(join(project.dir, path), text)
  }
}
