import { rm } from 'node:fs/promises'

// tsc never deletes: without this the package would keep shipping modules that src no longer has.
await rm(new URL('../dist', import.meta.url), { recursive: true, force: true })
