import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { freePort } from '../../../helpers/free-port.ts'
import { Project } from '../../helpers/project.mjs'

/** The fixture, built, on Next.js's production server in this process: it does what `globalThis.stage` says. */
export async function startFixture() {
  const project = await Project.create('next', resolve(import.meta.dirname, '../fixture'))
  await project.run(project.script('next/dist/bin/next'), ['build'])

  // As `next start` sets it.
  const environment = process.env.NODE_ENV
  process.env.NODE_ENV = 'production'
  const next = createRequire(join(project.dir, 'package.json'))('next')
  const port = await freePort()
  const app = next({ dir: project.dir, dev: false, hostname: 'localhost', port })
  await app.prepare()
  const server = createServer(app.getRequestHandler())
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')

  return {
    origin: `http://localhost:${port}`,
    /** A module of the package, the very one that the application uses: `testing/index`, say. */
    load: (name) => import(join(project.dir, 'node_modules/vishnu/dist', `${name}.js`)),
    async stop() {
      server.closeAllConnections()
      server.close()
      await app.close()
      process.env.NODE_ENV = environment
      await project.remove()
    },
  }
}
