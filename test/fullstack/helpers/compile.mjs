import { fileURLToPath } from 'node:url'

const compiler = fileURLToPath(new URL('../../../node_modules/typescript/bin/tsc', import.meta.url))

/** Checks the types of a project, as its `tsconfig.types.json` says. Resolves to what the compiler has to say: nothing. */
export function compile(project) {
  return project.run(compiler, ['--noEmit', '-p', 'tsconfig.types.json'])
}
