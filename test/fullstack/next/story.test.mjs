import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe } from 'vitest'
import { startRedis } from '../../helpers/redis-server.ts'
import { Project } from '../helpers/project.mjs'
import { story } from '../helpers/story.mjs'

const example = fileURLToPath(new URL('../../../examples/next', import.meta.url))

describe('examples/next', () => {
  let project, next, redis
  beforeAll(async () => {
    redis = await startRedis()
    project = await Project.create('next', example)
    next = project.script('next/dist/bin/next')
  })
  afterAll(async () => {
    await project?.remove()
    await redis?.stop()
  })

  const serve = (command, env) => project.serve(next, [command, '--hostname', 'localhost'], env)

  story('the development server, with SQLite', (env) => serve('dev', env))

  story('the production server, with Redis', async (env) => {
    await project.run(next, ['build'])
    return serve('start', { ...env, REDIS_URL: `redis://127.0.0.1:${redis.port}` })
  })
})
