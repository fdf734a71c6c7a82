import { fileURLToPath } from 'node:url'
import { prepareDependencies, prepareRedis, run } from '../scripts/prepare.mjs'

const bench = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('..', import.meta.url))

/** Where the library under test is built to: inside this folder, so that it finds the packages of this folder. */
export const libraryFolder = fileURLToPath(new URL('./dist', import.meta.url))

/** Everything a fresh clone lacks. Installs into the two `node_modules` only, and redis-server if it may. */
export async function prepare() {
  const isReady =
    prepareDependencies(root) &&
    prepareDependencies(bench) &&
    prepareRedis() &&
    run(process.execPath, ['scripts/build.mjs', libraryFolder], root)
  if (!isReady) throw new Error('The benchmark could not be prepared')
}
