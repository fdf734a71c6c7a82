// What `npm start` runs, on a fresh clone too: prepares what the demo needs and starts it.
import { fileURLToPath } from 'node:url'
import { prepareBuild, prepareDependencies } from './prepare.mjs'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

if (prepareDependencies() && prepareBuild()) await import('../demo/server.mjs')
else process.exitCode = 1
