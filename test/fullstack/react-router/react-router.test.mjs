import { reactRouterTests } from './suite.mjs'

reactRouterTests('react-router', { bin: 'bin.js', config: { future: { v8_middleware: true } } })
