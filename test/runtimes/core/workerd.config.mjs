import { fileURLToPath } from 'node:url'
import { cloudflareTest } from '@cloudflare/vitest-pool-workers'
import { defineConfig } from 'vitest/config'
import { excludedOn, include, withoutExceptions } from './selection.mjs'

// The tests run in workerd, and vitest itself on a Node that the pool supports: 22 or later.
export default defineConfig({
  plugins: [cloudflareTest({ miniflare: { compatibilityDate: '2026-07-01', compatibilityFlags: ['nodejs_compat'] } })],
  resolve: {
    alias: [
      // Clients of servers that a worker can't connect to. Some helpers import them for the tests that are left out.
      {
        find: /^(@redis\/client|ioredis|iovalkey|libsql|memcache-client)$/,
        replacement: fileURLToPath(new URL('absent.mjs', import.meta.url)),
      },
    ],
  },
  test: {
    root: fileURLToPath(new URL('../../..', import.meta.url)),
    env: { RUNTIME: 'workerd' },
    include,
    exclude: excludedOn('workerd'),
    testNamePattern: withoutExceptions('workerd'),
    setupFiles: [fileURLToPath(new URL('on-runtime.mjs', import.meta.url))],
    isolate: false,
    maxWorkers: 1,
    testTimeout: 60_000,
  },
})
