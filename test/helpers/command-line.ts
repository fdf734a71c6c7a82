import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { isolatePackage } from './isolated-package.js'

/** A folder with the built package, from which its command line runs as a process of its own. */
export interface CommandLine {
  readonly folder: string
  readonly write: (name: string, content: string) => Promise<void>
  /** Runs a command to its end. */
  readonly run: (args: readonly string[], options?: CommandOptions) => Promise<CommandOutcome>
  /** Runs a script of the folder to its end. */
  readonly script: (name: string) => Promise<CommandOutcome>
  readonly start: (args: readonly string[], options?: CommandOptions) => RunningCommand
  /** The same on a terminal: standard input, output and error are one pseudo-terminal of `script` (util-linux). */
  readonly startOnTerminal: (args: readonly string[], options?: CommandOptions) => RunningCommand
  /** Ends what a failed test has left running, too. */
  readonly remove: () => Promise<void>
}

export interface CommandOptions {
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
}

export interface CommandOutcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunningCommand {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>
  /** Resolves to the first match in what is printed after what was waited for before. */
  readonly printed: (stream: 'stdout' | 'stderr', pattern: RegExp) => Promise<string>
  readonly ended: Promise<CommandOutcome>
}

export async function commandLine(): Promise<CommandLine> {
  const built = await isolatePackage()
  const folder = await built.place('', ['libsql', '@redis/client'])
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
  const main = join(folder, 'node_modules/vishnu/dist/cli/main.js')

  const children = new Set<RunningCommand['process']>()
  const begin = (command: string, args: readonly string[], { input, env }: CommandOptions): RunningCommand => {
    const child = spawn(command, args, { cwd: folder, env: { ...plainEnvironment(), ...env } })
    const printed = { stdout: '', stderr: '' }
    const news = new EventEmitter()
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        printed[stream] += text
        news.emit('news')
      })
    }
    children.add(child)
    const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...printed }))
    void ended.finally(() => {
      children.delete(child)
      news.emit('news')
    })
    if (input !== undefined) child.stdin.end(input)

    const waitedFor = { stdout: 0, stderr: 0 }
    return {
      process: child,
      ended,
      printed: async (stream, pattern) => {
        for (;;) {
          const match = pattern.exec(printed[stream].slice(waitedFor[stream]))
          if (match) {
            waitedFor[stream] += match.index + match[0].length
            return match[0]
          }
          if (child.exitCode !== null) throw new Error(`the command ended without printing ${pattern}`)
          await once(news, 'news')
        }
      },
    }
  }
  const start: CommandLine['start'] = (args, options = {}) => begin(process.execPath, [main, ...args], options)

  return {
    folder,
    write: (name, content) => writeFile(join(folder, name), content),
    run: (args, options = {}) => start(args, { input: '', ...options }).ended,
    start,
    script: (name) => begin(process.execPath, [name], { input: '' }).ended,
    startOnTerminal: (args, options = {}) => {
      const command = [process.execPath, main, ...args].map((word) => `'${word}'`).join(' ')
      return begin('script', ['--quiet', '--return', '--command', command, '/dev/null'], options)
    },
    remove: async () => {
      for (const child of children) child.kill('SIGKILL')
      await rm(folder, { recursive: true })
      await built.remove()
    },
  }
}

/** Without what the one who runs the tests may have asked of colours, and without what Node takes for a wish for none. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const { CI: _, NO_COLOR: __, FORCE_COLOR: ___, NODE_OPTIONS: ____, ...environment } = process.env
  return { ...environment, TERM: 'xterm-256color' }
}
