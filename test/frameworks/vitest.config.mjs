import { defineConfig } from 'vitest/config'

// Run by `npm test` with the repository's vitest: these tests have packages of their own, and are not TypeScript, so that
// neither the compiler nor the other tests need those packages.
export default defineConfig({
  root: import.meta.dirname,
  // Our sources are to find the frameworks of this folder, not those that the repository compiles with.
  resolve: { dedupe: ['@nestjs/common', 'elysia', 'fastify', 'h3', 'hono'] },
  test: {
    include: ['*.test.mjs'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
