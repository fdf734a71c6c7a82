import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Settings, settingsOf } from '../config.js'
import { ConfigError, messageOf } from '../errors.js'

/**
 * The settings of the sessions that a file of the application's exports.
 *
 * @throws `ERR_CONFIG` if the file is not there, can't be loaded, or exports no sessions.
 */
export async function loadSettings(path: string): Promise<Settings> {
  const file = resolve(path)
  if (!existsSync(file))
    throw new ConfigError(path, ['there is no such file: --config names the one that exports your sessions'])
  const exported = await load(path, file)
  // CommonJS that was compiled from a module has its own `default` below the one that Node makes.
  const candidates = [exported.default, exported.sessions, (exported.default as Exports | undefined)?.default]
  for (const candidate of candidates) {
    const settings = settingsOf.get(candidate as object)
    if (settings) return settings
  }
  throw new ConfigError(path, [
    'it exports no sessions, neither as its default nor as "sessions": export what createSessions() returns, of the vishnu that is installed beside it',
  ])
}

interface Exports {
  readonly default?: unknown
  readonly sessions?: unknown
}

async function load(path: string, file: string): Promise<Exports> {
  try {
    return (await import(pathToFileURL(file).href)) as Exports
  } catch (error) {
    if ((error as NodeJS.ErrnoException | undefined)?.code === 'ERR_UNKNOWN_FILE_EXTENSION') {
      throw new ConfigError(path, [
        "this Node can't load such a file: pass the compiled .js, or use Node 22.18 or later, or a loader such as NODE_OPTIONS='--import tsx'",
      ])
    }
    throw new ConfigError(path, [`it can't be loaded: ${messageOf(error)}`])
  }
}
