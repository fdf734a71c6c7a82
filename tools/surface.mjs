import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CompilerState, Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor'
import { fileName, subpaths } from './package.mjs'

/** Writes down what each subpath exports, one file for each: a change of the public interface can't be overlooked. */
export async function writeSurface(build, folder) {
  const configs = subpaths.map(({ name, module }) => configFor(build, folder, name, module))
  const [first] = configs
  const additionalEntryPoints = configs.map(({ mainEntryPointFilePath }) => mainEntryPointFilePath)
  const compilerState = CompilerState.create(first, { additionalEntryPoints })
  for (const config of configs) {
    const result = Extractor.invoke(config, {
      localBuild: true,
      compilerState,
      messageCallback: (message) => {
        message.handled = message.logLevel !== ExtractorLogLevel.Error
      },
    })
    if (result.errorCount > 0) throw new Error(`api-extractor could not read ${config.mainEntryPointFilePath}`)
    await dropRemarks(config.reportFilePath)
  }
  await rm(join(folder, 'temp'), { recursive: true, force: true })
}

/** Whether something has a docstring is no part of the interface. */
async function dropRemarks(file) {
  const text = await readFile(file, 'utf8')
  await writeFile(
    file,
    text.replace(/^ *\/\/ \((undocumented|No @packageDocumentation).*\n/gm, '').replaceAll(' (undocumented)', ''),
  )
}

function configFor(build, folder, name, module) {
  const silent = { default: { logLevel: 'none', addToApiReportFile: false } }
  return ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(build, 'package.json'),
    configObject: {
      projectFolder: build,
      mainEntryPointFilePath: join(build, 'dist', `${module}.d.ts`),
      compiler: { overrideTsconfig: compilerOptions },
      apiReport: {
        enabled: true,
        reportFolder: folder,
        reportTempFolder: join(folder, 'temp'),
        reportFileName: `${fileName(name)}.api.md`,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages: {
        compilerMessageReporting: silent,
        extractorMessageReporting: silent,
        tsdocMessageReporting: silent,
      },
    },
  })
}

const compilerOptions = {
  compilerOptions: { target: 'ES2023', lib: ['ES2023'], module: 'nodenext', types: ['node'], strict: true },
  include: ['dist'],
}
