import { once } from 'node:events'
import { createServer } from 'node:http'

/** Serves this machine only. Takes a free port, and says so, if the wanted one is in use. Resolves to the port. */
export async function listen(app, wanted) {
  const server = createServer(app)
  try {
    server.listen(wanted, 'localhost')
    await once(server, 'listening')
  } catch (error) {
    if (error.code !== 'EADDRINUSE') throw error
    console.log(`Port ${wanted} is in use, so another one is taken.`)
    server.listen(0, 'localhost')
    await once(server, 'listening')
  }
  return server.address().port
}
