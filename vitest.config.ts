import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Every test brings its own servers and clocks, so files can share a worker: a fresh one per file costs half a second each.
    isolate: false,
    pool: 'forks',
    maxWorkers: 2,
    // Real servers are started, killed and waited for; a slow machine must not look like a bug.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
