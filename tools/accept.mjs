// Usage: node tools/accept.mjs reference|surface|sizes
//
// Writes anew what is generated and committed, for a reviewer to see what has changed.
import { writeFile } from 'node:fs/promises'
import { prepareDependencies } from '../scripts/prepare.mjs'

if (!prepareDependencies('tools')) throw new Error('npm ci in tools failed')
const { withBuild } = await import('./package.mjs')
const { replaceGenerated } = await import('./generated.mjs')

const [what] = process.argv.slice(2)
if (what === 'reference') {
  const { writeReference } = await import('./reference.mjs')
  await replaceGenerated('docs/api', writeReference)
} else if (what === 'surface') {
  const { writeSurface } = await import('./surface.mjs')
  await withBuild((build) => replaceGenerated('etc', (folder) => writeSurface(build, folder)))
} else if (what === 'sizes') {
  const { budgetFor, bundleAll, sizesFile } = await import('./bundles.mjs')
  const bundles = await bundleAll()
  const budgets = Object.fromEntries(bundles.map(({ name, bytes }) => [name, budgetFor(bytes)]))
  await writeFile(sizesFile, `${JSON.stringify(budgets, null, 2)}\n`)
} else {
  throw new Error('Say what to accept: reference, surface or sizes')
}
