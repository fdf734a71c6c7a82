import { defineConfig } from 'vitest/config'

// Run by `npm run test:browser` with the repository's vitest: these tests have packages of their own, and are not TypeScript,
// so that neither the compiler nor the other tests need those packages.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['*.test.mjs'],
    // One Chromium at a time.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
