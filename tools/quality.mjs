// Usage: npm run check:quality
//
// What is checked of the package besides its behaviour, one line for each check. Installs its tools by itself: they are
// heavy and rarely needed, so that `npm ci` in the root leaves them out.
import { prepareDependencies } from '../scripts/prepare.mjs'

if (!prepareDependencies('tools')) throw new Error('npm ci in tools failed')
const { checkQuality } = await import('./checks.mjs')

let failures = 0
for (const { name, problems, hint } of await checkQuality()) {
  const isGood = problems.length === 0
  process.stdout.write(isGood ? `passed ${name}\n` : `FAILED ${name}\n    ${[...problems, hint].join('\n    ')}\n`)
  if (!isGood) failures++
}
process.exitCode = failures > 0 ? 1 : 0
