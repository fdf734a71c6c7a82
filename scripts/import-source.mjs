import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

/** What a TypeScript file under `src` exports: for what the built package keeps inside. */
export async function importSource(file) {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const bundle = await rolldown({ cwd: root, input: `src/${file}`, platform: 'node', tsconfig: 'tsconfig.json' })
  const { output } = await bundle.generate()
  await bundle.close()
  return import(`data:text/javascript;base64,${Buffer.from(output[0].code).toString('base64')}`)
}
