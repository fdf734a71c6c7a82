import { subpaths } from './package.mjs'

/** Whatever no entry leads to is unused. What a subpath exports is used: by applications. */
export default {
  entry: [
    ...subpaths.map(({ module }) => `src/${module}.ts`),
    'src/cli/main.ts',
    'scripts/*.mjs',
    'test/**/*.test.ts',
    'test/types/*.ts',
  ],
  project: ['src/**/*.ts', 'test/**/*.ts', 'scripts/*.mjs'],
  ignoreExportsUsedInFile: true,
  // Installed by apt.
  ignoreBinaries: ['apt-get', 'memcached', 'redis-cli'],
}
