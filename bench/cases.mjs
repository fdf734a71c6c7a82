import { libraryFolder } from './prepare.mjs'

const KB = 1024
export const SIZES = [
  { bytes: 200, label: '200 B' },
  { bytes: 4 * KB, label: '4 KB' },
  { bytes: 64 * KB, label: '64 KB' },
]

/** What one request does, to a session of what size, kept where. */
export function casesOf({ quick, only }) {
  const sizes = quick ? SIZES.filter(({ bytes }) => bytes !== 4 * KB) : SIZES
  const untouched = { action: 'untouched', backend: 'memory', bytes: 200, name: 'memory: untouched' }
  const others = ['memory', 'sqlite', 'redis'].flatMap((backend) =>
    ['read', 'write'].flatMap((action) =>
      sizes.map(({ bytes, label }) => ({ action, backend, bytes, name: `${backend}: ${action} ${label}` })),
    ),
  )
  return [untouched, ...others].filter(({ name }) => name.includes(only))
}

/** A session in a cookie has no room for more. */
const COOKIE_BYTES = 200

/**
 * Who is measured in a case, in the order of each round. `floor` names the contestant that does all but sessions: the same
 * framework, and for Redis the raw commands.
 */
export function contestantsOf({ backend, bytes }, { peers, against }) {
  const floor = { name: 'bare node:http', contestant: 'floor-node' }
  const own = [
    floor,
    { name: 'vishnu', contestant: 'vishnu', floor: floor.name, library: libraryFolder },
    ...(against ? [{ name: `vishnu at ${against}`, contestant: 'vishnu', floor: floor.name, library: against }] : []),
    // Measured twice, as if it were two: what they differ by is what no other difference may be taken for.
    { name: 'bare node:http again', contestant: 'floor-node', floor: floor.name },
  ]
  if (!peers || backend === 'sqlite') return own
  return [
    ...own,
    { name: 'express-session', contestant: 'express-session', floor: floor.name },
    ...(backend === 'memory' && bytes <= COOKIE_BYTES
      ? [{ name: 'iron-session (cookie only)', contestant: 'iron-session', floor: floor.name }]
      : []),
    { name: 'bare koa', contestant: 'floor-koa' },
    { name: 'koa-session', contestant: 'koa-session', floor: 'bare koa' },
    { name: 'bare fastify', contestant: 'floor-fastify' },
    { name: '@fastify/session', contestant: 'fastify-session', floor: 'bare fastify' },
    { name: '@fastify/session, rolling off', contestant: 'fastify-session', floor: 'bare fastify', rolling: false },
  ]
}
