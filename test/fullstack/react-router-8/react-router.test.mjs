import { join } from 'node:path'
import { reactRouterTests } from '../react-router/suite.mjs'

// It asks for a newer Node than the library does.
const node = join(import.meta.dirname, 'node_modules/node/bin/node')
reactRouterTests('react-router-8', { node, bin: 'bin.cjs' })
