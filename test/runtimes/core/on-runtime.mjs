// Whoever runs the tests, it is not the runtime that was asked for unless this holds.
import assert from 'node:assert/strict'
import process from 'node:process'

const { bun, deno, node } = process.versions
const [major] = node.split('.')
const isWorker = globalThis.navigator?.userAgent === 'Cloudflare-Workers'
const name = isWorker ? 'workerd' : bun ? 'Bun' : deno ? 'Deno' : `Node ${major}`

assert.equal(name, import.meta.env.RUNTIME)
