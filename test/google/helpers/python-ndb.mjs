import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { end, endWithThisProcess } from '../../helpers/server-process.ts'

/**
 * A Python application with Google's own NDB, on the Python of the SDK and against the Datastore emulator (the other one
 * does not serve NDB). `ask` sends one of the requests that `python-ndb.py` describes.
 */
export async function startPython({ root }, host) {
  const sdk = join(root, 'platform')
  const script = join(import.meta.dirname, 'python-ndb.py')
  const child = spawn(
    join(sdk, 'bundledpythonunix', 'bin', 'python3'),
    ['-B', script, join(sdk, 'google_appengine'), host, 'test'],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, NO_GCE_CHECK: 'true' } },
  )
  let complaints = ''
  child.stderr.on('data', (chunk) => (complaints += String(chunk)))
  endWithThisProcess(child, '')
  const replies = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    ask: async (request) => {
      child.stdin.write(`${JSON.stringify(request)}\n`)
      const { value, done } = await replies.next()
      if (done) throw new Error(`Python has ended: ${complaints}`)
      const reply = JSON.parse(value)
      if (reply?.error) throw new Error(reply.error)
      return reply
    },
    stop: () => end(child, 'SIGKILL'),
  }
}
