import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Browser } from '../helpers/browser.ts'
import { freePort } from '../helpers/free-port.ts'
import { startRedis } from '../helpers/redis-server.ts'
import { installExamples, startExample } from './helpers/installed-examples.mjs'
import { visitShop } from './helpers/shop.mjs'

const folder = new URL('../../examples/', import.meta.url)
const frameworks = ['express', 'node', 'fetch', 'fastify', 'koa', 'hono', 'h3', 'nitro', 'elysia', 'nest']
/** Tested in `test/fullstack` and `test/google`. */
const elsewhere = ['app-engine', 'astro', 'next', 'react-router', 'sveltekit', 'websocket']
const headers = { 'content-type': 'application/x-www-form-urlencoded' }

let examples
beforeAll(async () => {
  examples = await installExamples()
  await examples.compile('nest')
  await examples.buildNitro()
})
afterAll(() => examples?.remove())

const scripts = { nest: 'dist/main.js', nitro: '.output/server/index.mjs' }
const scriptOf = (name) => join(examples.dir, name, scripts[name] ?? 'server.js')

const environment = {
  // Elysia's server for Node does not tell which port the system has chosen.
  elysia: async () => ({ PORT: String(await freePort()) }),
  nitro: async () => ({ HOST: '127.0.0.1' }),
}

describe.each(frameworks)('examples/%s', (name) => {
  test('logs in under a new id, fills the cart, and logs out for good', async () => {
    const { origins, stop } = await startExample(scriptOf(name), { env: await environment[name]?.() })
    onTestFinished(stop)
    expect(await visitShop(origins[0])).toBeUndefined()
  })
})

describe('examples/two-frameworks', () => {
  let redis
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.stop())

  test('serves one visitor from Express, Hono and Fastify at the same time, and loses nothing', async () => {
    const env = { PORTS: '0,0,0', REDIS_URL: `redis://127.0.0.1:${redis.port}/0` }
    const { origins, stop } = await startExample(scriptOf('two-frameworks'), { env, addresses: 3 })
    onTestFinished(stop)
    const [onExpress, onHono, onFastify] = origins

    const browser = new Browser()
    await browser.post(`${onExpress}/login`, { headers, body: 'name=ada' })
    const rounds = 10
    const requests = Array.from({ length: rounds }, () => origins.map((origin) => browser.get(origin))).flat()
    const answers = await Promise.all(requests)
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    for (const [origin, framework] of [
      [onExpress, 'express'],
      [onHono, 'hono'],
      [onFastify, 'fastify'],
    ]) {
      expect(JSON.parse((await browser.get(origin)).body)).toEqual({
        user: 'ada',
        framework,
        visits: rounds + 1,
        seen: ['express', 'fastify', 'hono', 'user'],
      })
    }

    const thief = browser.clone()
    await browser.post(`${onFastify}/logout`)
    // ERR_SESSION_GONE: they try to change a session that has ended.
    const refused = await Promise.all(origins.map((origin) => thief.get(origin)))
    expect(refused.map(({ status }) => status)).toEqual([409, 409, 409])
  })
})

describe('the examples', () => {
  test('are all tested, and all listed in examples/README.md', async () => {
    const entries = await readdir(folder, { withFileTypes: true })
    const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
    expect(names.toSorted()).toEqual([...frameworks, 'two-frameworks', ...elsewhere].toSorted())
    const readme = await readFile(new URL('README.md', folder), 'utf8')
    expect(names.filter((name) => !readme.includes(`(${name})`) && !readme.includes(`(${name}/`))).toEqual([])
  })

  test('say in their package.json what they import', async () => {
    for (const name of [...frameworks, 'two-frameworks']) {
      const files = (await readdir(new URL(`${name}/`, folder), { recursive: true })).filter((file) =>
        /\.(js|ts)$/.test(file),
      )
      const texts = await Promise.all(files.map((file) => readFile(new URL(`${name}/${file}`, folder), 'utf8')))
      const imported = texts
        .flatMap((text) =>
          Array.from(text.matchAll(/^import (?:[^']* from )?'([^'.][^']*)'/gm), ([, source]) => source),
        )
        .filter((source) => !source.startsWith('node:'))
        .map((source) => /^(@[^/]+\/)?[^/]+/.exec(source)[0])
      const { dependencies } = JSON.parse(await readFile(new URL(`${name}/package.json`, folder), 'utf8'))
      expect([name, imported.filter((source) => !(source in dependencies))]).toEqual([name, []])
    }
  })
})
