import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** A project of a stranger's: nothing in it but what is installed from the packed tarball and the registry. */
export interface EmptyProject {
  readonly dir: string
  readonly write: (name: string, text: string) => Promise<void>
  /** Runs a command to its end; rejects if it fails. */
  readonly run: (command: string, ...args: string[]) => Promise<{ stdout: string; stderr: string }>
  /** Starts a server and resolves to the address that it prints, and a way to end it. */
  readonly serve: (command: string, ...args: string[]) => Promise<{ origin: string; stop: () => Promise<void> }>
  readonly remove: () => Promise<void>
}

export async function emptyProject(...packages: string[]): Promise<EmptyProject> {
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-project-'))
  const run: EmptyProject['run'] = async (command, ...args) =>
    execute(command, args, { cwd: dir, maxBuffer: 10_000_000 }).catch((error: Error & { stdout?: string }) => {
      throw new Error(`${error.message}\n${error.stdout ?? ''}`, { cause: error })
    })

  await writeFile(join(dir, 'package.json'), '{ "private": true }\n')
  const tarball = await pack(dir)
  await run('npm', 'install', '--no-audit', '--no-fund', '--prefer-offline', tarball, ...packages)

  return {
    dir,
    run,
    write: (name, text) => writeFile(join(dir, name), text),
    serve: async (command, ...args) => {
      const child = spawn(command, args, {
        cwd: dir,
        env: { ...process.env, PORT: '0' },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const exited = once(child, 'exit')
      const stop = async (): Promise<void> => {
        child.kill('SIGKILL')
        await exited
      }
      for await (const line of createInterface(child.stdout)) {
        const [origin] = /http:\S+/.exec(line) ?? []
        if (origin) return { origin, stop }
      }
      throw new Error('the server ended without printing its address')
    },
    remove: () => rm(dir, { recursive: true }),
  }
}

/** Packs what npm would publish. Built in a folder of its own: other tests may be building at the same time. */
async function pack(destination: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-package-'))
  for (const name of ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md']) await copyFile(name, join(dir, name))
  await execute(process.execPath, ['scripts/build.mjs', join(dir, 'dist')])
  await execute('npm', ['pack', '--ignore-scripts', '--pack-destination', destination], { cwd: dir })
  await rm(dir, { recursive: true })
  return join(destination, (await readdir(destination)).find((name) => name.endsWith('.tgz')) ?? '')
}

/** The code blocks of a Markdown file in one language, in order. */
export async function codeBlocks(file: string, language: string): Promise<string[]> {
  const text = await readFile(file, 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map((match) => match[1] ?? '')
}

/** The path of a Node of that major version, fetched from the registry unless it is the one that runs the tests. */
export async function nodeBinary(major: number): Promise<string> {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath
  const { stdout } = await execute('npx', ['--yes', '-p', `node@${major}`, '--', 'node', '-p', 'process.execPath'])
  return stdout.trim()
}
