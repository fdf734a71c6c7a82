import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { excludedOn, include, withoutExceptions } from './selection.mjs'

const runtime = process.env.RUNTIME

// vitest itself runs on the runtime then: `bun --bun vitest.mjs run --config core/vitest.config.mjs`.
export default defineConfig({
  test: {
    root: fileURLToPath(new URL('../../..', import.meta.url)),
    env: { RUNTIME: runtime },
    include,
    exclude: excludedOn(runtime),
    testNamePattern: withoutExceptions(runtime),
    setupFiles: [fileURLToPath(new URL('on-runtime.mjs', import.meta.url))],
    isolate: false,
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 60_000,
  },
})
