// Runs tasks in workerd: a POST to /task with the task as JSON answers its outcome as JSON. All other requests go to the
// server of the task, which is this worker too.
import { d1 } from 'vishnu/backends/d1'
import { durableObject } from 'vishnu/backends/durable-object'
import { memory } from 'vishnu/backends/memory'
import { fetchApp } from './fetch-app.mjs'
import { perform } from './tasks.mjs'

export { SessionObject } from 'vishnu/backends/durable-object'

let tables = 0
let app = () => new Response('No task is running', { status: 404 })

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname !== '/task') return app(request)

    const backends = {
      memory: () => memory(),
      D1: () => d1({ database: env.DB }),
      'empty D1': () => d1({ database: env.DB, table: `sessions_${tables++}` }),
      'Durable Objects': () => durableObject({ namespace: env.SESSIONS }),
    }
    const serve = async (sessions, handler) => {
      app = fetchApp(sessions, (scenarioRequest) => keepingAlive(() => handler(scenarioRequest)))
      return { origin: new URL(request.url).origin, close: async () => undefined }
    }
    return Response.json(await perform(await request.json(), { backend: (name) => backends[name], serve: () => serve }))
  },
}

/**
 * The scenario's pages wait for what other requests do. workerd cancels a request that waits for nothing of its own, so
 * each gets a timer.
 */
async function keepingAlive(work) {
  const timer = setInterval(() => undefined, 10)
  try {
    return await work()
  } finally {
    clearInterval(timer)
  }
}
