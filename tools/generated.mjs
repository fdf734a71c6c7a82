import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { root } from './package.mjs'

/** Files that are generated and committed: `make` writes them into an empty folder. */
async function generate(make) {
  const folder = await mkdtemp(join(tmpdir(), 'vishnu-generated-'))
  try {
    await make(folder)
    return await filesIn(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Which of the committed files differ from what is generated today. */
export async function outdated(folder, make) {
  const [expected, present] = await Promise.all([generate(make), filesIn(join(root, folder))])
  const names = new Set([...expected.keys(), ...present.keys()])
  return [...names].filter((name) => expected.get(name) !== present.get(name)).map((name) => `${folder}/${name}`)
}

export async function replaceGenerated(folder, make) {
  const files = await generate(make)
  await rm(join(root, folder), { recursive: true, force: true })
  for (const [name, text] of files) {
    const file = join(root, folder, name)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  }
  return files.size
}

/** Texts by name, formatted as everything in the repository is. */
async function filesIn(folder) {
  const { format, resolveConfig } = await import('prettier')
  const options = await resolveConfig(join(root, 'README.md'))
  const names = await readdir(folder, { recursive: true }).catch(() => [])
  const texts = new Map()
  for (const name of names.filter((candidate) => candidate.endsWith('.md'))) {
    const text = await readFile(join(folder, name), 'utf8')
    texts.set(name.replaceAll('\\', '/'), await format(text, { ...options, parser: 'markdown' }))
  }
  return texts
}
