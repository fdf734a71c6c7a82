import { Buffer } from 'node:buffer'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const oracle = fileURLToPath(new URL('python-oracle.py', import.meta.url))

/** False where there is no Python 3 with its standard library: what needs it is then skipped. */
export const hasPython: boolean = spawnSync('python3', ['-c', 'import decimal, pickle, uuid']).status === 0

/** What the pickles hold as CPython sees it. */
export function describePickles(pickles: readonly Uint8Array[]): unknown[] {
  return run('describe', pickles.map(base64))
}

/** Each session as CPython writes it again, in protocols 0 to 5. */
export function repickle(pickles: readonly Uint8Array[]): Buffer[][] {
  return (run('repickle', pickles.map(base64)) as string[][]).map(decoded)
}

/** For each expression, the session that holds its value under `value`, in protocols 0 to 5. */
export function pickleExpressions(expressions: readonly string[]): Buffer[][] {
  return (run('pickle', expressions) as string[][]).map(decoded)
}

function run(task: string, lines: readonly string[]): unknown[] {
  const { stdout, stderr, status } = spawnSync('python3', [oracle, task], {
    input: JSON.stringify(lines),
    maxBuffer: 2 ** 28,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`python3 ended with status ${status}: ${stderr}`)
  return JSON.parse(stdout) as unknown[]
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function decoded(texts: readonly string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text, 'base64'))
}
