import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

export type { ChildProcess }

/** Ends a process and waits for its end. */
export async function end(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return
  const ended = once(child, 'exit')
  child.kill(signal)
  // A paused process keeps SIGTERM waiting.
  child.kill('SIGCONT')
  await ended
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/**
 * Leaves no server behind, even when the test process is killed: a small shell waits on a pipe from this process, which
 * the system closes however this process ends.
 */
export function endWithThisProcess(child: ChildProcess, temporaryFolder: string): void {
  if (child.pid === undefined) return
  const script = 'read -r line; kill -9 "$1"; [ -z "$2" ] || rm -rf -- "$2"'
  const watchdog = spawn('sh', ['-c', script, 'sh', String(child.pid), temporaryFolder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // Ctrl-C goes to the whole process group and must not reach the watchdog first.
    detached: true,
  })
  // The process id may belong to somebody else later.
  child.on('exit', () => watchdog.kill('SIGKILL'))
  watchdog.unref()
  child.unref()
}
