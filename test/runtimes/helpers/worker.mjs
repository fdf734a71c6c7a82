import { dirname } from 'node:path'
import { build } from 'esbuild'
import { Miniflare } from 'miniflare'

/** Bundles a worker as wrangler does, and runs it in workerd, with a D1 database and a class of Durable Objects. */
export async function startWorker(file, { className, bindings = {} } = {}) {
  const { outputFiles } = await build({
    entryPoints: [file],
    absWorkingDir: dirname(file),
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['node:*', 'cloudflare:*'],
  })
  const miniflare = new Miniflare({
    modules: true,
    script: outputFiles[0].text,
    // The oldest that the tests can do with: from then on workerd has a client for node:http.
    compatibilityDate: '2025-09-01',
    compatibilityFlags: ['nodejs_compat'],
    bindings,
    d1Databases: ['DB'],
    durableObjects: className === undefined ? {} : { SESSIONS: { className, useSQLite: true } },
    // Its own server among them, which the worker's requests may reach.
    outboundService: { network: { allow: ['private'] } },
  })
  const origin = await miniflare.ready
  return {
    origin,
    post: async (path, body) => {
      const response = await fetch(new URL(path, origin), { method: 'POST', body: JSON.stringify(body) })
      const text = await response.text()
      if (!response.ok) throw new Error(`The worker answered ${response.status}: ${text}`)
      return JSON.parse(text)
    },
    database: () => miniflare.getD1Database('DB'),
    stop: () => miniflare.dispose(),
  }
}
