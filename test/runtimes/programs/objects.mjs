// A worker whose objects can be looked into: a POST to / with `{ name }` tells what that one holds.
import { durableObject, SessionObject } from 'vishnu/backends/durable-object'

const [key, version] = ['k'.repeat(43), 'of an entry that nobody has']

export class WatchedObject extends SessionObject {
  #storage

  constructor(state) {
    super(state)
    this.#storage = state.storage
  }

  async fetch(request) {
    const { pathname } = new URL(request.url)
    if (pathname === '/ring') await this.alarm()
    if (pathname === '/') return super.fetch(request)
    const entries = await this.#storage.list()
    return Response.json({ entries: entries.size, alarm: await this.#storage.getAlarm() })
  }
}

const actions = {
  create: (backend, { deadline, now }) => backend.create(key, Uint8Array.of(1), deadline, now),
  replaceAbsent: (backend, { deadline, now }) =>
    backend.replace(key, { value: new Uint8Array(), version }, Uint8Array.of(2), deadline, now),
  delete: (backend) => backend.delete(key),
}

export default {
  async fetch(request, { SESSIONS }) {
    const { action, ...input } = await request.json()
    const object = SESSIONS.get(SESSIONS.idFromName(key))
    if (action === 'look' || action === 'ring') return object.fetch(`https://session/${action}`)
    await actions[action](durableObject({ namespace: SESSIONS }), input)
    return Response.json(null)
  },
}
