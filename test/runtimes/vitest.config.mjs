import { defineConfig } from 'vitest/config'

// Run by `npm run test:runtimes` with the repository's vitest: the runtimes are half a gigabyte, so the root does without them.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['*.test.mjs'],
    // Two processors: the runtimes are busy enough.
    fileParallelism: false,
    maxConcurrency: 2,
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
})
