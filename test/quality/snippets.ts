import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import manifest from '../../package.json' with { type: 'json' }
import { emptyProject, type EmptyProject } from '../helpers/empty-project.js'

/** A project with the packed package and, from the repository's own installation, what snippets may import besides. */
export async function snippetProject(): Promise<EmptyProject> {
  const project = await emptyProject()
  for (const name of Object.keys(manifest.devDependencies)) {
    const link = join(project.dir, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    if (!existsSync(link)) symlinkSync(resolve('node_modules', name), link, 'junction')
  }
  return project
}

/** Writes files into a folder of the project, in which they are ES modules. */
export function writeModules(project: EmptyProject, folder: string, files: Readonly<Record<string, string>>): string {
  const target = join(project.dir, folder)
  mkdirSync(target, { recursive: true })
  writeFileSync(join(target, 'package.json'), '{ "private": true, "type": "module" }\n')
  for (const [name, content] of Object.entries(files)) writeFileSync(join(target, name), content)
  return target
}

/** Compiles all TypeScript files of these folders, strictly, against the types that the package is published with. */
export async function compile(project: EmptyProject, files: readonly string[]): Promise<void> {
  const options = ['--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node', '--rootDir', '.']
  const tsc = resolve('node_modules/typescript/bin/tsc')
  await project.run(process.execPath, tsc, ...options, '--skipLibCheck', 'false', ...files)
}

/** Runs a script to its end, or, if it prints an address, until it has answered there. Resolves to what went wrong. */
export async function problemOf(folder: string, script: string): Promise<string | undefined> {
  const child = spawn(process.execPath, [script], { cwd: folder, env: { ...process.env, PORT: '0' } })
  const exited = once(child, 'exit')
  const complaints = text(child.stderr)
  for await (const line of createInterface(child.stdout)) {
    const [origin] = /http:\S+/.exec(line) ?? []
    if (origin === undefined) continue
    const { status } = await fetch(origin).finally(() => child.kill('SIGKILL'))
    return status === 200 ? undefined : `it answers ${status}`
  }
  const [code] = (await exited) as [number | null]
  return code === 0 ? undefined : `it ends with ${code}: ${await complaints}`
}
