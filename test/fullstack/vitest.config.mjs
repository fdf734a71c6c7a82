import { defineConfig } from 'vitest/config'

// Run by `npm test` with the repository's vitest: each framework has packages of its own, and these tests are not
// TypeScript, so that neither the compiler nor the other tests need those packages.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['*/*.test.mjs'],
    globalSetup: './helpers/build-package.mjs',
    // Two frameworks, each with a server and a Chromium, at a time: they wait more than they work.
    maxWorkers: 2,
    // Frameworks print what the tests let go wrong.
    silent: 'passed-only',
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
})
