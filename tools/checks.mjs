import { bundleAll, misplaced, tooLarge } from './bundles.mjs'
import { outdated } from './generated.mjs'
import { pack, runTool, withBuild } from './package.mjs'
import { writeReference } from './reference.mjs'
import { writeSurface } from './surface.mjs'

/** Resolves to each check's name, what it found, and what to do about it. */
export function checkQuality() {
  return withBuild(async (build) => {
    const bundles = await bundleAll()
    return [
      {
        name: 'types resolve for every way to import the package (attw)',
        problems: await run('@arethetypeswrong/cli/dist/index.js', await pack(build), '--profile', 'esm-only'),
        hint: 'See exports in package.json.',
      },
      {
        name: 'nothing is unused: files, exports, dependencies (knip)',
        problems: await run('knip/bin/knip.js', '--config', 'tools/knip.js', '--treat-config-hints-as-errors'),
        hint: 'Remove it, or say in tools/knip.js who uses it.',
      },
      {
        name: 'each subpath contains only what belongs to it (esbuild)',
        problems: misplaced(bundles),
        hint: 'An import leads too far: see the arrows in docs/architecture.md.',
      },
      {
        name: 'each subpath keeps to its size budget (esbuild, minified and gzipped)',
        problems: await tooLarge(bundles),
        hint: 'If it is worth it: npm run size:accept, and let the change of tools/sizes.json be reviewed.',
      },
      {
        name: 'the public interface is the one recorded in etc (api-extractor)',
        problems: await outdated('etc', (folder) => writeSurface(build, folder)),
        hint: 'If it is meant: npm run api:accept, and let the change be reviewed.',
      },
      {
        name: 'the API reference in docs/api is up to date (typedoc)',
        problems: await outdated('docs/api', writeReference),
        hint: 'Run npm run docs:api.',
      },
    ]
  })
}

async function run(tool, ...args) {
  const { passed, output } = await runTool(tool, ...args)
  return passed ? [] : output.trimEnd().split('\n')
}
