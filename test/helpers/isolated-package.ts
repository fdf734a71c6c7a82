import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface IsolatedPackage {
  /** Runs a module that finds the built package and nothing but the given packages; resolves to what it printed. */
  readonly run: (script: string, packages?: readonly string[], node?: string) => Promise<string>
  /** Lays such a module out and resolves to its folder, in which it is called `main.mjs`. */
  readonly place: (script: string, packages?: readonly string[]) => Promise<string>
  readonly remove: () => Promise<void>
}

/** Builds the package into a folder from which no other package can be resolved unless a script is given it. */
export async function isolatePackage(): Promise<IsolatedPackage> {
  const dir = await mkdtemp(join(tmpdir(), 'vishnu-isolated-'))
  await execute(process.execPath, ['scripts/build.mjs', join(dir, 'dist')]).catch(
    async (error: Error & { stdout?: string }) => {
      await rm(dir, { recursive: true })
      throw new Error(`${error.message}\n${error.stdout ?? ''}`, { cause: error })
    },
  )

  let places = 0
  const place: IsolatedPackage['place'] = async (script, packages = []) => {
    const folder = join(dir, String(places++))
    const self = join(folder, 'node_modules/vishnu')
    await mkdir(self, { recursive: true })
    await cp('package.json', join(self, 'package.json'))
    await cp(join(dir, 'dist'), join(self, 'dist'), { recursive: true })
    for (const name of packages) {
      const link = join(folder, 'node_modules', name)
      await mkdir(dirname(link), { recursive: true })
      await symlink(resolve('node_modules', name), link, 'junction')
    }
    await writeFile(join(folder, 'main.mjs'), script)
    return folder
  }

  return {
    place,
    run: async (script, packages = [], node = process.execPath) => {
      const { stdout } = await execute(node, ['main.mjs'], { cwd: await place(script, packages), timeout: 25_000 })
      return stdout
    },
    remove: () => rm(dir, { recursive: true }),
  }
}
