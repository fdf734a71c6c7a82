import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../helpers/free-port.ts'
import { end, endWithThisProcess, hasEnded } from '../../helpers/server-process.ts'

/**
 * Google's own emulators of Datastore, with their options. They disagree where it matters: the first locks nothing and
 * lets the first who commits win, the second locks what transactions have read.
 */
const programs = {
  'the Datastore emulator': {
    jar: 'cloud-datastore-emulator/CloudDatastore.jar',
    main: 'com.google.cloud.datastore.emulator.CloudDatastore',
    args: (port, folder) => [
      'start',
      '--host=127.0.0.1',
      `--port=${port}`,
      '--testing',
      '--firestore_in_datastore_mode',
      folder,
    ],
  },
  'the Firestore emulator in Datastore mode': {
    jar: 'cloud-firestore-emulator/cloud-firestore-emulator.jar',
    main: 'com.google.cloud.datastore.emulator.firestore.CloudFirestore',
    args: (port) => ['--host=127.0.0.1', `--port=${port}`, '--database-mode=datastore-mode'],
  },
}

export const emulatorNames = Object.keys(programs)

/**
 * Where the Google Cloud SDK is: `{ root }`, or why there is nothing to test with: `{ missing }`. Takes a second, so it is
 * asked once, by the set-up; tests ask `inject('sdk')`.
 */
export function findSdk() {
  const gcloud = spawnSync('gcloud', ['info', '--format=value(installation.sdk_root)'], { encoding: 'utf8' })
  const root = gcloud.status === 0 ? gcloud.stdout.trim() : ''
  if (root === '') return { missing: 'the Google Cloud SDK is not installed (gcloud)' }
  const jars = Object.values(programs).map(({ jar }) => join(root, 'platform', jar))
  const absent = jars.find((jar) => !existsSync(jar))
  if (absent) return { missing: `the Google Cloud SDK lacks ${absent}` }
  if (spawnSync('java', ['-version']).status !== 0) return { missing: 'Java is not installed' }
  return { root }
}

/** Starts an emulator of its own on a free loopback port, empty; resolves when it answers. */
export async function startEmulator(name, { root }) {
  const { jar, main, args } = programs[name]
  const folder = await mkdtemp(join(tmpdir(), 'vishnu-emulator-'))
  const port = await freePort()
  const options = ['-Xmx256m', '-XX:TieredStopAtLevel=1', '-Duser.language=en']
  const child = spawn('java', [...options, '-cp', join(root, 'platform', jar), main, ...args(port, folder)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const keep = (chunk) => (output = (output + String(chunk)).slice(-10_000))
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.on('error', (error) => keep(error.message))
  endWithThisProcess(child, folder)

  const origin = `http://127.0.0.1:${port}`
  const stop = async () => {
    await end(child, 'SIGKILL')
    await rm(folder, { recursive: true, force: true })
  }
  for (let attempt = 0; attempt < 1200; attempt++) {
    if (child.pid === undefined || hasEnded(child)) break
    const reply = await fetch(origin).catch(() => undefined)
    if (reply?.ok) {
      return {
        name,
        port,
        /** What `DATASTORE_EMULATOR_HOST` is to say. */
        host: `127.0.0.1:${port}`,
        /** Removes all that is stored. */
        reset: async () => void (await fetch(`${origin}/reset`, { method: 'POST' })),
        /** Freezes it: connections stay open, nothing answers. */
        pause: () => void child.kill('SIGSTOP'),
        resume: () => void child.kill('SIGCONT'),
        stop,
      }
    }
    await sleep(50)
  }
  await stop()
  throw new Error(`${name} did not start on port ${port}:\n${output}`)
}
