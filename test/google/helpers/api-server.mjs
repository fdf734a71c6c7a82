import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort } from '../../helpers/free-port.ts'
import { end, endWithThisProcess, hasEnded } from '../../helpers/server-process.ts'

const execute = promisify(execFile)

/** Parts of the SDK that its programs need and look for in vain. */
const libraries = 'requests urllib3 certifi chardet idna oauthlib pyparsing six ruamel pytz py3_antlr3'.split(' ')

function programsOf({ root }) {
  const appEngine = join(root, 'platform/google_appengine')
  return {
    python: join(root, 'platform/bundledpythonunix/bin/python3'),
    script: join(appEngine, 'api_server.py'),
    environment: {
      ...process.env,
      PYTHONPATH: [appEngine, ...libraries.map((name) => join(appEngine, 'lib', name))].join(':'),
      PYTHONDONTWRITEBYTECODE: '1',
      // Without these it asks the network whether this machine is one of Google's.
      NO_GCE_CHECK: 'true',
      GCE_METADATA_HOST: '127.0.0.1:9',
      GCE_METADATA_IP: '127.0.0.1:9',
    },
  }
}

/** Why there is no API server here; undefined if there is one. */
export function whyNoApiServer(sdk) {
  if (sdk.missing) return sdk.missing
  const { python, script } = programsOf(sdk)
  const absent = [python, script].find((file) => !existsSync(file))
  return absent && `the Google Cloud SDK lacks ${absent}`
}

/** Starts the API server of Google's SDK on a free loopback port, empty; resolves when it answers. */
export async function startApiServer(sdk, { port } = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-api-server-'))
  const chosen = port ?? (await freePort())
  let running = await launch(sdk, dir, chosen)
  return {
    port: chosen,
    /** Ends the process without warning, as a crash would. */
    kill9: () => end(running, 'SIGKILL'),
    /** Starts it again on the same port, empty, after stopping it if it still runs. */
    restart: async () => {
      await end(running, 'SIGKILL')
      running = await launch(sdk, dir, chosen)
    },
    /** Freezes the process: connections stay open, nothing answers. Resolves when every thread of it stands still. */
    pause: () => pause(running),
    resume: () => void running.kill('SIGCONT'),
    stop: async () => {
      await end(running, 'SIGKILL')
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function launch(sdk, dir, port) {
  const { python, script, environment } = programsOf(sdk)
  const options = [`--api_host=127.0.0.1`, `--api_port=${port}`, `--storage_path=${dir}`, '--application=test']
  const child = spawn(python, ['-W', 'ignore', script, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Else it leaves a folder behind.
    env: { ...environment, TMPDIR: dir, CLOUDSDK_CONFIG: dir },
  })
  let output = ''
  const keep = (chunk) => (output = (output + String(chunk)).slice(-10_000))
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.on('error', (error) => keep(error.message))
  endWithThisProcess(child, dir)

  for (let attempt = 0; attempt < 1200; attempt++) {
    if (child.pid === undefined || hasEnded(child)) break
    const reply = await fetch(`http://127.0.0.1:${port}/_ah/status`).catch(() => undefined)
    if (reply?.ok) return child
    await sleep(50)
  }
  await end(child, 'SIGKILL')
  throw new Error(`The API server did not start on port ${port}:\n${output}`)
}

/** The signal reaches the threads one by one: until the last stands still, some of them could still answer. */
async function pause(child) {
  child.kill('SIGSTOP')
  const tasks = `/proc/${child.pid}/task`
  for (let attempt = 0; attempt < 500; attempt++) {
    // Only Linux tells. Elsewhere the signal has to do.
    const ids = await readdir(tasks).catch(() => [])
    const states = await Promise.all(ids.map((id) => readFile(join(tasks, id, 'stat'), 'utf8')))
    if (states.every((state) => /\) T /.test(state))) return
    await sleep(2)
  }
  throw new Error(`the API server ${child.pid} did not stand still`)
}

/**
 * Google's own client in Python: `await client.call('get', key, namespace)`. The calls are in memcache-client.py; they are
 * answered one after the other. The headers of the request that it believes to handle are named as in CGI.
 */
export function startPythonClient(sdk, port, requestHeaders = {}) {
  const { python, environment } = programsOf(sdk)
  const script = fileURLToPath(new URL('memcache-client.py', import.meta.url))
  const child = spawn(python, ['-W', 'ignore', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...environment, API_HOST: '127.0.0.1', API_PORT: String(port), ...requestHeaders },
  })
  endWithThisProcess(child, '')
  // That it has ended is told below.
  child.stdin.on('error', () => undefined)
  const waiting = []
  createInterface(child.stdout).on('line', (line) => {
    const { answer, error } = JSON.parse(line)
    const { resolve, reject } = waiting.shift()
    if (error === undefined) resolve(answer)
    else reject(new Error(error))
  })
  child.on('exit', () => waiting.splice(0).forEach(({ reject }) => reject(new Error('Python has ended'))))
  return {
    call: (...call) => {
      if (hasEnded(child)) throw new Error('Python has ended')
      const answered = new Promise((resolve, reject) => waiting.push({ resolve, reject }))
      child.stdin.write(`${JSON.stringify(call)}\n`)
      return answered
    },
    stop: () => end(child, 'SIGKILL'),
  }
}

/** What Google's tools understand of these two files. */
export async function parseConfiguration(sdk, appYaml, cronYaml) {
  const { python, environment } = programsOf(sdk)
  const script = fileURLToPath(new URL('parse-configuration.py', import.meta.url))
  const { stdout } = await execute(python, ['-W', 'ignore', script, appYaml, cronYaml], { env: environment })
  return JSON.parse(stdout)
}
