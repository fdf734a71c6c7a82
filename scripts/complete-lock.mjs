// Usage: node scripts/complete-lock.mjs [folder], after every `npm install` that changes the lock, for example in tools.
//
// Tools with native binaries list one optional package per platform. A registry mirror that lacks some of them makes
// `npm install` leave them out of the lock, and `npm ci` then refuses the lock as out of sync. This adds the missing
// entries, without an integrity hash, as only the registry that has the package knows it.
import { readFileSync, writeFileSync } from 'node:fs'

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64']
// As in linux-arm64-musl and linux-arm-gnueabihf.
const cLibraries = { gnu: 'glibc', musl: 'musl' }

const lockFile = new URL(`../${process.argv[2] ?? '.'}/package-lock.json`, import.meta.url)
const lock = JSON.parse(readFileSync(lockFile, 'utf8'))
const added = []

for (const [parent, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isInstalledFor(parent, name)) continue
    const platform = platformOf(name)
    if (platform === undefined) continue
    lock.packages[`node_modules/${name}`] = { version, ...(entry.dev && { dev: true }), optional: true, ...platform }
    added.push(`${name}@${version}`)
  }
}

if (added.length > 0) {
  lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(lockFile, JSON.stringify(lock, null, 2) + '\n')
}
console.log(added.length === 0 ? 'The lock is complete.' : `Added to the lock:\n  ${added.join('\n  ')}`)

/** Looks in the folders in which Node would look, from the dependent package outwards. */
function isInstalledFor(parent, name) {
  const folders = parent === '' ? [] : parent.split('/node_modules/')
  for (let depth = folders.length; depth >= 0; depth--) {
    const path = [...folders.slice(0, depth), name].join('/node_modules/')
    if (`${depth === 0 ? 'node_modules/' : ''}${path}` in lock.packages) return true
  }
  return false
}

/** undefined for an optional dependency that is not a platform's binary: those belong to npm. */
function platformOf(name) {
  const words = name.split(/[/-]/)
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) => words.includes(processor))
  if (words.includes('wasm32') && words.includes('wasi')) return { cpu: ['wasm32'] }
  if (os === undefined || cpu === undefined) return undefined
  const libc = Object.keys(cLibraries).find((prefix) => words.some((word) => word.startsWith(prefix)))
  return { os: [os], cpu: [cpu], ...(os === 'linux' && libc && { libc: [cLibraries[libc]] }) }
}
