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
  // Those in test/fullstack are compiled with packages of their own.
  project: ['src/**/*.ts', 'test/**/*.ts', '!test/fullstack/**', 'scripts/*.mjs'],
  ignoreExportsUsedInFile: true,
  // Installed by apt.
  ignoreBinaries: ['apt-get', 'memcached', 'nginx', 'redis-cli'],
  // Its tests have it, in a folder of their own.
  ignoreDependencies: ['next'],
}
