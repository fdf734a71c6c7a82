import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

const nest11 = join(import.meta.dirname, 'nest-11/node_modules/@nestjs/$1')

// Run by `npm test` with the repository's vitest: these tests have packages of their own, and are not TypeScript, so that
// neither the compiler nor the other tests need those packages.
export default defineConfig({
  root: import.meta.dirname,
  // Our sources are to find the frameworks of this folder, not those that the repository compiles with.
  resolve: { dedupe: ['@nestjs/common', 'elysia', 'fastify', 'h3', 'hono'] },
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: 'newest', include: ['*.test.mjs'] } },
      {
        extends: true,
        resolve: { alias: [{ find: /^@nestjs\/([\w-]+)$/, replacement: nest11 }] },
        test: { name: 'NestJS 11', include: ['nest.test.mjs'] },
      },
    ],
  },
})
