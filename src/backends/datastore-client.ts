import { messageOf, SessionError } from '../errors.js'

/** What is used of a `v1.DatastoreClient`. */
export interface DatastoreClient {
  initialize(): Promise<unknown>
  lookup(request: object, options: CallOptions): Promise<[LookupResponse, ...unknown[]]>
  commit(request: object, options: CallOptions): Promise<[CommitResponse, ...unknown[]]>
  runQuery(request: object, options: CallOptions): Promise<[RunQueryResponse, ...unknown[]]>
  getProjectId(): Promise<string>
  close(): Promise<void>
}

/** Of the library that all of Google's clients are made with. */
interface CallOptions {
  /** Milliseconds. */
  timeout: number
  retry: null
}

interface LookupResponse {
  found?: readonly EntityResult[] | null
  missing?: readonly unknown[] | null
  deferred?: readonly Key[] | null
}

interface CommitResponse {
  mutationResults?: readonly { version?: Int64; conflictDetected?: boolean | null }[] | null
}

interface RunQueryResponse {
  batch?: {
    entityResults?: readonly EntityResult[] | null
    endCursor?: Uint8Array | string | null
    moreResults?: unknown
  } | null
}

interface EntityResult {
  entity?: Entity | null
  version?: Int64
}

interface Key {
  path?: readonly { name?: string | null }[] | null
}

export interface Entity {
  key?: Key | null
  properties?: Record<string, PropertyValue> | null
}

/** One value of an entity. Of its types only those that are used here. */
export interface PropertyValue {
  nullValue?: unknown
  timestampValue?: { seconds?: Int64; nanos?: number | null } | null
  stringValue?: string | null
  blobValue?: Uint8Array | string | null
  meaning?: number | null
  excludeFromIndexes?: boolean | null
}

type Int64 = number | string | { toString(): string } | null | undefined

/* Codes of gRPC. */
export const NOT_FOUND = 5
export const ALREADY_EXISTS = 6
export const FAILED_PRECONDITION = 9
export const ABORTED = 10
const [INVALID_ARGUMENT, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED] = [3, 7, 12, 16]
/** What asking again does not cure. All else is left to the core, which finds out what has become of a write. */
const LASTING = [INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION, UNIMPLEMENTED, UNAUTHENTICATED]

export function codeOf(error: unknown): unknown {
  return Object(error).code as unknown
}

/** @param names What must not be told: Google's messages quote keys, and in NDB's these are session ids. */
export function explained(error: unknown, names: readonly string[] = []): Error {
  const code = codeOf(error)
  const told = names.reduce((text, name) => text.replaceAll(name, '<key>'), messageOf(error))
  if (!LASTING.includes(code as number)) return Object.assign(new Error(`Datastore: ${told}`), { code })
  const hint = code === PERMISSION_DENIED ? ' (the role roles/datastore.user is needed)' : ''
  return new SessionError('ERR_BACKEND', `Datastore refused: ${told}${hint}`)
}
