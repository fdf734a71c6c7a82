import { createRequire } from 'node:module'
import { ConfigError, describeValue, isMissingPackage, isWholeNumber, SessionError, unknownOptions } from '../errors.js'
import type { DatastoreClient } from './datastore-client.js'

/** Where the entities are, and how to get there. */
export interface DatastoreConnection {
  /** Default: that of the credentials or of the environment, as Google's libraries find it. */
  projectId?: string
  /** Default: the default namespace. */
  namespace?: string
  /** Default: the project's default database. */
  databaseId?: string
  /** A service account's `client_email` and `private_key`. Default: Application Default Credentials. */
  credentials?: object
  /** A service account's key as a file. */
  keyFilename?: string
  /**
   * A host other than Google's default, with its port if need be. Default: `DATASTORE_EMULATOR_HOST`, if that is set. To
   * `localhost` and `127.0.0.1` nothing is encrypted, and no credentials are sent.
   */
  apiEndpoint?: string
  /** Milliseconds that one call to Datastore may take. Default 1000. */
  timeout?: number
  /** A `v1.DatastoreClient` of `@google-cloud/datastore`, in place of the way there. It stays yours to close. */
  client?: DatastoreClient
}

/** The connection after checking. */
export interface DatastoreTarget {
  /** A client that is ready. Rejects without credentials, and tries again the next time. */
  readonly connect: () => Promise<DatastoreClient>
  readonly close: () => Promise<void>
  readonly projectId: string | undefined
  readonly namespace: string
  readonly databaseId: string
  readonly timeout: number
}

const CLIENT_OPTIONS = ['credentials', 'keyFilename', 'apiEndpoint'] as const
const OPTIONS = ['projectId', 'namespace', 'databaseId', ...CLIENT_OPTIONS, 'timeout', 'client'] as const

/**
 * Checks the options and opens the client. `problems` are those that the factory has found in its own options.
 *
 * @throws `ERR_CONFIG` for wrong options, `ERR_CLIENT_MISSING` if the package is not installed.
 */
export function openDatastore(
  factory: string,
  connection: DatastoreConnection,
  own: { readonly names: readonly string[]; readonly problems: readonly string[] },
): DatastoreTarget {
  const given = Object.fromEntries(Object.entries(connection).filter(([, value]) => value !== undefined))
  const problems = [...own.problems, ...unknownOptions(given, [...own.names, ...OPTIONS])]
  const must = (name: string, rule: string, value: unknown): void =>
    void problems.push(`${name} must be ${rule}, not ${describeValue(value)}`)

  const { client, projectId, namespace = '', databaseId = '', credentials, keyFilename, apiEndpoint } = connection
  const { timeout = 1000 } = connection
  if (projectId !== undefined && !isText(projectId)) must('projectId', 'a string', projectId)
  if (!isName(namespace)) must('namespace', 'up to 100 letters, digits and ._-', namespace)
  if (!isName(databaseId)) must('databaseId', "a database's name", databaseId)
  // Not shown: it may be a real one, of the wrong type.
  if (credentials !== undefined && (typeof credentials !== 'object' || credentials === null)) {
    problems.push('credentials must be an object with client_email and private_key')
  }
  if (keyFilename !== undefined && !isText(keyFilename)) must('keyFilename', 'a path', keyFilename)
  // Google takes some URLs, too. Not one with a password: a failing look-up would tell it.
  const isEndpoint = isText(apiEndpoint) && !apiEndpoint.includes('@')
  if (apiEndpoint !== undefined && !isEndpoint) must('apiEndpoint', 'a host name', apiEndpoint)
  if (!isWholeNumber(timeout, 1, 600_000)) must('timeout', 'a whole number of milliseconds from 1 to 600000', timeout)
  if (client !== undefined && !isClient(client)) {
    problems.push('client must be a v1.DatastoreClient of @google-cloud/datastore, whose Datastore tells no versions')
  }
  const twice = CLIENT_OPTIONS.filter((name) => client !== undefined && connection[name] !== undefined)
  if (twice.length > 0) problems.push(`client knows its way already: leave out ${twice.join(', ')}`)
  if (problems.length > 0) throw new ConfigError(factory, problems)

  const way = client
    ? { connect: () => ready(client), close: async () => undefined }
    : openClient(factory, {
        ...(projectId !== undefined && { projectId }),
        ...(credentials !== undefined && { credentials }),
        ...(keyFilename !== undefined && { keyFilename }),
        ...(apiEndpoint !== undefined && { apiEndpoint }),
      })
  return { ...way, projectId, namespace, databaseId, timeout }
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && /^[\w.-]{0,100}$/.test(value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isClient(value: object): boolean {
  const calls = ['initialize', 'lookup', 'commit', 'runQuery', 'getProjectId']
  return calls.every((name) => typeof Reflect.get(Object(value) as object, name) === 'function')
}

interface Package {
  Datastore: new (options: object) => { readonly options: object }
  v1: { DatastoreClient: new (options: object) => DatastoreClient }
}

/**
 * By default the client waits for up to two minutes before it tries to connect again, and for many more before it gives up a
 * connection that the network has dropped without telling. Pings are sent only with calls, as Google's servers want it.
 */
const CHANNEL = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 1000,
}

/** `Datastore` knows of the emulator and its variables; only `v1.DatastoreClient` can compare and set. */
function openClient(factory: string, options: object): Pick<DatastoreTarget, 'connect' | 'close'> {
  const { Datastore, v1 } = requirePackage(factory)
  let client: DatastoreClient | undefined
  let isClosed = false
  return {
    connect: async () => {
      if (isClosed) throw new SessionError('ERR_BACKEND', 'The backend was closed')
      const opened = (client ??= new v1.DatastoreClient({ ...new Datastore(options).options, ...CHANNEL }))
      return ready(opened).catch((error: unknown) => {
        // A client that has failed to find credentials never looks again.
        if (client === opened) client = undefined
        throw error
      })
    },
    close: async () => {
      isClosed = true
      await client?.close()
    },
  }
}

/** A call to a client that finds no credentials ends the process, by an unhandled rejection. This call does not. */
async function ready(client: DatastoreClient): Promise<DatastoreClient> {
  await client.initialize()
  return client
}

function requirePackage(factory: string): Package {
  try {
    return createRequire(import.meta.url)('@google-cloud/datastore') as Package
  } catch (error) {
    if (!isMissingPackage(error, '@google-cloud/datastore')) throw error
    throw new SessionError(
      'ERR_CLIENT_MISSING',
      `${factory}() needs Google's client: npm install @google-cloud/datastore, or pass your own as { client }`,
    )
  }
}
