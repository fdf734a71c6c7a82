import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Builds the package once for all test files, as it would be published. */
export default async function buildPackage({ provide }) {
  const folder = await mkdtemp(join(tmpdir(), 'vishnu-package-'))
  const remove = () => rm(folder, { recursive: true })
  try {
    await execute(process.execPath, [join(root, 'scripts/build.mjs'), join(folder, 'dist')])
    await cp(join(root, 'package.json'), join(folder, 'package.json'))
  } catch (error) {
    await remove()
    throw new Error(`${error.message}\n${error.stdout ?? ''}`, { cause: error })
  }
  provide('package', folder)
  return remove
}
