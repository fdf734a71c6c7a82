import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// The library loads Google's client with `require`, as Node finds it: for our sources that is here, where it is installed.
process.env.NODE_PATH = join(import.meta.dirname, 'node_modules')
// Without it Google's client asks the network whether this machine is one of Google's.
process.env.METADATA_SERVER_DETECTION = 'none'

// Run by `npm test` with the repository's vitest: Google's client is 129 packages, so the root does without them.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['*.test.mjs'],
    globalSetup: ['helpers/set-up.mjs'],
    pool: 'forks',
    maxWorkers: 2,
    // The emulators are slow.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
