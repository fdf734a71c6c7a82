import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { datastore } from '../../src/backends/datastore.ts'
import { Browser } from '../helpers/browser.ts'
import { emptyProject } from '../helpers/empty-project.ts'
import { parseConfiguration, whyNoApiServer } from './helpers/api-server.mjs'
import { emulatorNames } from './helpers/emulators.mjs'

const execute = promisify(execFile)
const sdk = inject('sdk')
const example = resolve(import.meta.dirname, '../../examples/app-engine')
const headers = { 'content-type': 'application/x-www-form-urlencoded' }
/** Packing and installing takes its time. */
const MINUTE = 60_000
const DAY = 86_400_000

describe.skipIf(sdk.missing)('examples/app-engine', () => {
  let project
  beforeAll(async () => {
    project = await vendoredExample()
  }, 2 * MINUTE)
  afterAll(() => project?.remove())

  test('uploads the package as a file of its own, and the secret for gcloud, but no installed packages', async () => {
    const { dependencies } = JSON.parse(await readFile(join(project.dir, 'package.json'), 'utf8'))
    const [, tarball] = /^file:(.*\.tgz)$/.exec(dependencies.vishnu) ?? []
    const quiet = { CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: 'true', CLOUDSDK_CONFIG: join(project.dir, '.gcloud') }
    const { stdout } = await execute('gcloud', ['meta', 'list-files-for-upload', project.dir], {
      env: { ...process.env, ...quiet, CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: 'true' },
    })
    const files = stdout.trim().split('\n')
    expect(files).toEqual(expect.arrayContaining([tarball, 'server.js', 'package.json', 'secrets.yaml']))
    expect(files.filter((file) => file.startsWith('node_modules'))).toEqual([])
  })

  test('says in its package.json what it imports', async () => {
    const { dependencies } = JSON.parse(await readFile(join(example, 'package.json'), 'utf8'))
    expect(Object.keys(dependencies)).toEqual(['@google-cloud/datastore', 'express', 'vishnu'])
  })

  test.skipIf(whyNoApiServer(sdk))("has an app.yaml and a cron.yaml that Google's tools can read", async () => {
    const files = ['app.yaml', 'cron.yaml'].map((name) => join(project.dir, name))
    expect(await parseConfiguration(sdk, ...files)).toEqual({
      runtime: expect.stringMatching(/^nodejs\d+$/),
      environment: { SESSION_SECRET: 'a secret' },
      inbound: ['warmup'],
      secure: ['always'],
      crons: [{ url: '/tasks/clean-up', schedule: 'every 1 hours' }],
    })
  })

  test('does not start on App Engine without a secret', async () => {
    const child = start({ GAE_ENV: 'standard' }, 'pipe')
    expect(await text(child.stderr)).toContain('ERR_CONFIG')
  })

  describe.each(emulatorNames)('on %s', (emulator) => {
    const projectId = 'test-app-engine-example'
    let environment
    let server
    beforeAll(async () => {
      environment = { DATASTORE_EMULATOR_HOST: inject('hosts')[emulator], GOOGLE_CLOUD_PROJECT: projectId }
      server = await serve(environment)
    })
    afterAll(() => server?.stop())

    const post = (browser, path, body = '') =>
      browser.post(server.origin + path, { headers, body, redirect: 'follow' }).then((response) => response.body)
    const look = (browser) => browser.get(server.origin).then((response) => response.body)

    test('sells a book, logs in under a new id, and logs out for good', async () => {
      const browser = new Browser()
      expect(await look(browser)).toBe('Hello stranger, your cart: empty\n')
      expect(await post(browser, '/cart', 'item=book')).toBe('Hello stranger, your cart: book\n')
      const before = browser.clone()
      expect(await post(browser, '/login', 'name=ada')).toBe('Hello ada, your cart: book\n')
      expect(await look(before)).toBe('Hello stranger, your cart: empty\n')
      const last = browser.clone()
      expect(await post(browser, '/logout')).toBe('Hello stranger, your cart: empty\n')
      expect(await look(last)).toBe('Hello stranger, your cart: empty\n')
    })

    test('serves a visitor from any instance', async () => {
      const other = await serve(environment)
      const browser = new Browser()
      await post(browser, '/cart', 'item=book')
      await browser.post(`${other.origin}/cart`, { headers, body: 'item=pen' })
      expect(await look(browser)).toBe('Hello stranger, your cart: book, pen\n')
      await other.stop()
    })

    test('answers the request to warm up', async () => {
      expect(await new Browser().get(`${server.origin}/_ah/warmup`)).toMatchObject({ status: 200, setCookies: [] })
    })

    test('removes what has expired when cron asks, and for nobody else', async () => {
      const backend = datastore({ projectId, apiEndpoint: environment.DATASTORE_EMULATOR_HOST, timeout: 20_000 })
      const past = Date.now() - 3 * DAY
      const names = Array.from({ length: 20 }, (_, number) => `${number}`.padEnd(43, 'x'))
      await Promise.all(names.map((key) => backend.create(key, Buffer.from('old'), past, past - DAY)))
      const now = { now: Date.now(), dormantBefore: 0 }
      expect(await backend.countExpired(now)).toBe(20)
      const browser = new Browser()
      await post(browser, '/cart', 'item=book')

      const address = `${server.origin}/tasks/clean-up`
      expect(await browser.get(address)).toMatchObject({ status: 403 })
      expect(await browser.get(address, { headers: { 'X-Appengine-Cron': 'false' } })).toMatchObject({ status: 403 })
      expect(await backend.countExpired(now)).toBe(20)
      const answer = await browser.get(address, { headers: { 'X-Appengine-Cron': 'true' } })
      expect(answer).toMatchObject({ status: 200, body: 'Nothing is left to remove.\n', setCookies: [] })
      expect(await backend.countExpired(now)).toBe(0)
      expect(await look(browser)).toBe('Hello stranger, your cart: book\n')
      await backend.close()
    })
  })

  /** The example as it is deployed: with the packed package, here beside packages that other folders have installed. */
  async function vendoredExample() {
    const made = await emptyProject()
    const { dependencies } = JSON.parse(await readFile(join(made.dir, 'package.json'), 'utf8'))
    await cp(example, made.dir, { recursive: true })
    const own = JSON.parse(await readFile(join(example, 'package.json'), 'utf8'))
    Object.assign(own.dependencies, dependencies)
    await writeFile(join(made.dir, 'package.json'), JSON.stringify(own))
    await writeFile(join(made.dir, 'secrets.yaml'), 'env_variables:\n  SESSION_SECRET: a secret\n')
    await link('express', resolve(import.meta.dirname, '../../node_modules/express'))
    await link('@google-cloud/datastore', resolve(import.meta.dirname, 'node_modules/@google-cloud/datastore'))
    return made

    async function link(name, target) {
      const path = join(made.dir, 'node_modules', name)
      await mkdir(dirname(path), { recursive: true })
      await symlink(target, path, 'junction')
    }
  }

  function start(environment, stderr = 'inherit') {
    const { SESSION_SECRET: _, ...rest } = process.env
    return spawn(process.execPath, ['server.js'], {
      cwd: project.dir,
      env: { ...rest, PORT: '0', ...environment },
      stdio: ['ignore', 'pipe', stderr],
    })
  }

  async function serve(environment) {
    const child = start(environment)
    const exited = once(child, 'exit')
    const stop = async () => {
      child.kill('SIGKILL')
      await exited
    }
    for await (const line of createInterface(child.stdout)) {
      if (line.startsWith('http:')) return { origin: line, stop }
    }
    throw new Error('The example ended without printing its address')
  }
})
