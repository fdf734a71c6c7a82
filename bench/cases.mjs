import { libraryFolder } from './prepare.mjs'

const KB = 1024
/** More would not fit into a cookie. */
const SMALLEST = 200
const SIZES = [
  { bytes: SMALLEST, label: '200 B' },
  { bytes: 4 * KB, label: '4 KB' },
  { bytes: 64 * KB, label: '64 KB' },
]

/** What one request does, to a session of what size, kept where. */
export function casesOf({ quick, only }) {
  const untouched = { action: 'untouched', backend: 'memory', bytes: SMALLEST, name: 'memory: untouched' }
  const others = ['memory', 'sqlite', 'redis'].flatMap((backend) =>
    ['read', 'write'].flatMap((action) =>
      SIZES.map(({ bytes, label }) => ({ action, backend, bytes, name: `${backend}: ${action} ${label}` })),
    ),
  )
  const all = [untouched, ...others].filter(({ name }) => name.includes(only))
  return quick ? all.filter(({ name, bytes }) => bytes === SMALLEST || name === 'memory: read 64 KB') : all
}

/**
 * Who is measured in a case, in the order of each round. `floor` names the contestant that does all but sessions: the same
 * framework, and for Redis the raw commands.
 */
export function contestantsOf({ action, backend, bytes }, { peers, quick, against }) {
  const floor = { name: 'bare node:http', contestant: 'floor-node' }
  const own = [
    floor,
    { name: 'vishnu', contestant: 'vishnu', floor: floor.name, library: libraryFolder },
    ...(against ? [{ name: `vishnu at ${against}`, contestant: 'vishnu', floor: floor.name, library: against }] : []),
    // Measured twice, as if it were two: what they differ by is what no other difference may be taken for.
    { name: 'bare node:http again', contestant: 'floor-node', floor: floor.name },
  ]
  if (!peers || backend === 'sqlite' || (quick && !(action === 'read' && bytes === SMALLEST))) return own
  return [
    ...own,
    { name: 'express-session', contestant: 'express-session', floor: floor.name },
    ...(backend === 'memory' && bytes === SMALLEST
      ? [{ name: 'iron-session (cookie only)', contestant: 'iron-session', floor: floor.name }]
      : []),
    { name: 'bare koa', contestant: 'floor-koa' },
    { name: 'koa-session', contestant: 'koa-session', floor: 'bare koa' },
    { name: 'bare fastify', contestant: 'floor-fastify' },
    { name: '@fastify/session', contestant: 'fastify-session', floor: 'bare fastify' },
    { name: '@fastify/session, rolling off', contestant: 'fastify-session', floor: 'bare fastify', rolling: false },
  ]
}
