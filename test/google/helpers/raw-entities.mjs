import { randomBytes } from 'node:crypto'
import { Datastore, v1 } from '@google-cloud/datastore'

/** A namespace that nobody else uses. */
export function newNamespace() {
  return `test-${randomBytes(6).toString('hex')}`
}

/** Entities of one kind as they are stored, by Google's client alone: what another program sees and does. */
export function rawEntities(host, kind, namespaceId = '', projectId = 'test') {
  const client = new v1.DatastoreClient(new Datastore({ projectId, apiEndpoint: host }).options)
  const keyOf = (name) => ({ partitionId: { projectId, namespaceId }, path: [{ kind, name }] })
  const putAll = async (names, properties) => {
    const mutations = names.map((name) => ({ upsert: { key: keyOf(name), properties } }))
    await client.commit({ projectId, mode: 'NON_TRANSACTIONAL', mutations })
  }
  return {
    client,
    get: async (name) => {
      const [{ found }] = await client.lookup({ projectId, keys: [keyOf(name)] })
      return found[0]?.entity.properties
    },
    put: (name, properties) => putAll([name], properties),
    putAll,
    remove: async (name) => {
      await client.commit({ projectId, mode: 'NON_TRANSACTIONAL', mutations: [{ delete: keyOf(name) }] })
    },
    names: async () => {
      const [{ batch }] = await client.runQuery({
        projectId,
        partitionId: { projectId, namespaceId },
        query: { kind: [{ name: kind }] },
      })
      return batch.entityResults.map(({ entity }) => entity.key.path.at(-1).name).toSorted()
    },
    /** Reads the entity in a transaction and leaves it open: others may have to wait for it. */
    hold: async (name) => {
      const [{ transaction }] = await client.beginTransaction({ projectId })
      await client.lookup({ projectId, keys: [keyOf(name)], readOptions: { transaction } })
      return () => client.rollback({ projectId, transaction })
    },
    close: () => client.close(),
  }
}

/** `expires` and `last_accessed` of a Python session, from epoch milliseconds; null for none. */
export function time(milliseconds) {
  if (milliseconds === null) return { nullValue: 'NULL_VALUE' }
  return { timestampValue: { seconds: Math.floor(milliseconds / 1000), nanos: (milliseconds % 1000) * 1e6 } }
}
